"""CelebA: faces in the eight classes of three attributes, as IoTSL divides them (section V-H)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from splitopt.documents.reading import opened, read_text
from splitopt.errors import InputError, shown

CLASSES = 8
SIDE = 32
"""Pixels of a side that images are scaled to by default; 128 in IoTSL."""
PER_CLASS = 1000
"""Images of a class that are read by default, a tenth of them to test with; 10,000 in IoTSL."""
ATTRIBUTES = ("Male", "Black_Hair", "Smiling")
"""A class is 4 without the first, 2 more without the second, 1 more without the third."""
FACES = "img_align_celeba"
LISTS = ("list_attr_celeba.txt", "list_attr_celeba.csv")
IMAGE_LIMIT = 2**24
LIST_LIMIT = 2**27

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


def has_celeba(folder: Path) -> bool:
    """Whether a folder holds the faces and the list of their attributes."""
    return (folder / FACES).is_dir() and any((folder / name).is_file() for name in LISTS)


def read_celeba_folder(
    folder: Path, side: int = SIDE, per_class: int = PER_CLASS
) -> tuple[Bytes, Bytes, Bytes, Bytes]:
    """Read training images and labels, test images and labels.

    Parameters
    ----------
    folder
        With ``img_align_celeba/*.jpg`` and ``list_attr_celeba.txt`` (or the same as ``.csv``).
    side
        The middle square of an image is scaled to so many pixels.
    per_class
        The first so many images of each class in the list, of which the last tenth are to test.

    Returns
    -------
    Images of shape (n, 3, side, side) and labels of shape (n,), by class.

    Raises
    ------
    InputError
        A file is missing, cut short or something else, or a class has fewer than two images.
    """
    chosen: list[list[str]] = [[] for _ in range(CLASSES)]
    source = next(folder / name for name in LISTS if (folder / name).is_file())
    for name, label in _rows(source):
        if len(chosen[label]) < per_class:
            chosen[label].append(name)
    parts: list[tuple[list[Bytes], list[int]]] = [([], []), ([], [])]
    for label, names in enumerate(chosen):
        if len(names) < 2:
            raise InputError(
                f"{source}: has {len(names)} images of class {label}; at least 2 are needed, to "
                "train and to test with"
            )
        tested = max(1, round(len(names) / 10))
        for place, name in enumerate(names):
            images, labels = parts[place >= len(names) - tested]
            images.append(_face(folder / FACES / name, side))
            labels.append(label)
    (train, train_labels), (test, test_labels) = parts
    return (
        np.stack(train),
        np.array(train_labels, np.uint8),
        np.stack(test),
        np.array(test_labels, np.uint8),
    )


def _rows(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the file of each image and its class."""
    lines = read_text(path, LIST_LIMIT).splitlines()
    by_comma = path.suffix == ".csv"
    if not by_comma:
        lines = lines[1:]  # the number of images
    split = [line.split(",") if by_comma else line.split() for line in lines if line.strip()]
    head = split[0][1:] if split and by_comma else split[0] if split else []
    for name in ATTRIBUTES:
        if name not in head:
            raise InputError(f"{path}: has no column {name}; get the list of CelebA again")
    places = [1 + head.index(name) for name in ATTRIBUTES]
    for number, words in enumerate(split[1:], start=1):
        values = [words[place] if place < len(words) else "" for place in places]
        name = words[0]
        is_name = Path(name).name == name and name.isprintable()
        if any(value not in ("1", "-1") for value in values) or not is_name:
            raise InputError(
                f"{path}, image {number}: is {shown(' '.join(words), 60)}; it must be a file name "
                "and 1 or -1 for each attribute"
            )
        lacks = [value == "-1" for value in values]
        yield name, 4 * lacks[0] + 2 * lacks[1] + lacks[2]


def _face(path: Path, side: int) -> Bytes:
    """Return the middle square of an image, scaled; shape (3, side, side)."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with opened(path, IMAGE_LIMIT) as file, Image.open(file, formats=["JPEG"]) as picture:
                width, height = picture.size
                least = min(width, height)
                left, top = (width - least) // 2, (height - least) // 2
                square = (left, top, left + least, top + least)
                small = picture.convert("RGB").resize((side, side), Image.Resampling.BOX, square)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Warning) as error:
        if isinstance(error, InputError):
            raise
        reason = str(error).replace(f" {str(path)!r}", "")
        raise InputError(f"{path}: is not a whole JPEG picture ({reason})") from None
    return np.asarray(small, dtype=np.uint8).transpose(2, 0, 1)
