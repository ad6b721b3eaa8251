"""Pictures of what a generator makes: a row of samples for each label."""

from __future__ import annotations

import io
import os

import numpy as np
import torch
from numpy.typing import NDArray

from splitopt.documents.checks import check_seed, check_whole
from splitopt.documents.taking import expect, path_of
from splitopt.errors import InputError
from splitopt.generators.trained import TrainedGenerator
from splitopt.storage.writing import write_atomic

_GAP = 1
_LEAST = 24
"""Pixels of a side of a sample that are shown at least; smaller ones are enlarged as squares."""


def write_grid(
    generator: TrainedGenerator, path: str | os.PathLike[str], columns: int, seed: int
) -> None:
    """Write a picture of samples, see `splitopt.generators.sample_grid`."""
    expect(generator, TrainedGenerator, "generator")
    write_atomic(path_of(path), png_of(generator, columns, seed))


def png_of(generator: TrainedGenerator, columns: int = 10, seed: int = 0) -> bytes:
    """Return a PNG picture with a row for each label, rising, and so many samples in each."""
    from PIL import Image

    check_whole("columns", columns, 1, 1000)
    check_seed(seed)
    if generator.spec.shape[0] not in (1, 3):
        raise InputError.at(
            "generator",
            f"makes images of {generator.spec.shape[0]} channels; pictures have 1 or 3 of them",
        )
    labels = torch.tensor(generator.labels).repeat_interleave(columns)
    values = (generator.sample(labels, seed) * 255).round().to(torch.uint8).numpy()
    whole = grid_of(values, columns)
    buffer = io.BytesIO()
    Image.fromarray(whole[..., 0] if whole.shape[-1] == 1 else whole).save(buffer, "PNG")
    return buffer.getvalue()


def grid_of(images: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Lay images of shape (n, channels, rows, columns) side by side, so many in a row.

    Returns
    -------
    Shape (rows, columns, channels), with a white line between images.
    """
    count, channels, height, width = images.shape
    times = max(1, -(-_LEAST // max(height, width)))
    large = images.repeat(times, axis=2).repeat(times, axis=3)
    high, wide = height * times + _GAP, width * times + _GAP
    lines = -(-count // columns)
    whole = np.full((lines * high - _GAP, columns * wide - _GAP, channels), 255, np.uint8)
    for number, image in enumerate(large):
        top, left = number // columns * high, number % columns * wide
        whole[top : top + high - _GAP, left : left + wide - _GAP] = image.transpose(1, 2, 0)
    return whole
