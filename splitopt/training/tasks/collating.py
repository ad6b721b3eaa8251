"""Samples of unequal length as one batch: padded inputs, a mask of what is there, and targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from splitopt.errors import InputError
from splitopt.training.tasks.targets import IGNORED


class Padded(NamedTuple):
    """A batch of samples of one length.

    Parameters
    ----------
    inputs
        Shape (n, length, ...), or several such tensors by the names of the model's arguments.
    mask
        Shape (n, length), of truth values: whether a position is one of the sample. It goes to the
        model where that takes one; None to give it none.
    targets
        Shape (n, ...).
    """

    inputs: Tensor | Mapping[str, Tensor]
    mask: Tensor | None
    targets: Tensor


Collate = Callable[[Sequence[Tensor], Sequence[Tensor], int], Padded]
"""Of inputs of shape (length of the sample, ...), their targets and the length of all."""


def padded(values: Sequence[Tensor], length: int, fill: float = 0) -> Tensor:
    """Return values of shape (own length, ...) as one tensor, with `fill` behind each."""
    first = values[0]
    found = first.new_full((len(values), length, *first.shape[1:]), fill)
    for row, value in zip(found, values, strict=True):
        row[: len(value)] = value
    return found


def mask_of(values: Sequence[Tensor], length: int) -> Tensor:
    """Return which positions are those of the samples, shape (n, length)."""
    lengths = torch.tensor([len(value) for value in values])
    return torch.arange(length) < lengths[:, None]


def pad_samples(inputs: Sequence[Tensor], targets: Sequence[Tensor], length: int) -> Padded:
    """Pad inputs with 0; each sample has a target of one shape.

    Raises
    ------
    InputError
        Targets of several shapes.
    """
    if len({target.shape for target in targets}) > 1:
        raise InputError("targets are of several shapes; the task needs one for each sample")
    return Padded(padded(inputs, length), mask_of(inputs, length), torch.stack(list(targets)))


def pad_tokens(inputs: Sequence[Tensor], targets: Sequence[Tensor], length: int) -> Padded:
    """Pad inputs with 0 and targets, one for each position, with `IGNORED`, so that none counts.

    Raises
    ------
    InputError
        A sample with another number of targets than of positions.
    """
    for index, (value, target) in enumerate(zip(inputs, targets, strict=True)):
        if target.dim() != 1 or len(target) != len(value):
            have = len(target) if target.dim() else 1
            raise InputError(
                f"sample {index} has {len(value)} positions and {have} targets; the task needs one "
                "for each position"
            )
    return Padded(padded(inputs, length), mask_of(inputs, length), padded(targets, length, IGNORED))
