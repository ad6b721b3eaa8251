"""MNIST and data sets in its format: idx files of whole numbers of 8 bits."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from splitopt.documents.reading import opened
from splitopt.errors import InputError

LIMIT_BYTES = 2**31
"""The most values that are read from one file."""

_DEFLATE_MOST = 1040  # deflate makes at most 1032 bytes of one
_UNSIGNED_BYTES = 8
_KINDS = {"images": 3, "labels": 1}

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


def read_idx_folder(folder: Path) -> tuple[Bytes, Bytes, Bytes, Bytes]:
    """Read training images and labels, test images and labels.

    Returns
    -------
    Images of shape (n, 1, rows, columns) and labels of shape (n,).
    """
    found: list[Bytes] = []
    for part in ("train", "t10k"):
        paths = {kind: idx_file(folder, part, kind) for kind in _KINDS}
        read = {}
        for kind, path in paths.items():
            if path is None:
                raise InputError(
                    f"{folder}: {part}-{kind}-idx{_KINDS[kind]}-ubyte or the same with .gz is not "
                    "there; the data set has four files"
                )
            read[kind] = read_idx(path, _KINDS[kind])
        images, labels = read["images"], read["labels"]
        if len(images) != len(labels):
            raise InputError(
                f"{folder}: {len(images)} images in {paths['images'].name} and {len(labels)} "  # type: ignore[union-attr]
                f"labels in {paths['labels'].name}; files of different data sets are mixed"  # type: ignore[union-attr]
            )
        found += [images[:, None], labels]
    return found[0], found[1], found[2], found[3]


def idx_file(folder: Path, part: str, kind: str) -> Path | None:
    """Find a file of a part (``train``, ``t10k``) and a kind (``images``, ``labels``)."""
    for dot in "-.":
        for end in ("", ".gz"):
            path = folder / f"{part}-{kind}{dot}idx{_KINDS[kind]}-ubyte{end}"
            if path.is_file():
                return path
    return None


def read_idx(path: Path, dimensions: int) -> Bytes:
    """Read one file, packed by gzip or not.

    Raises
    ------
    InputError
        Another type or number of dimensions than expected, or more or less data than the header
        says; that is seen before memory is taken for it.
    """
    try:
        packed = path.suffix == ".gz"
        file_bytes = path.stat().st_size
        with opened(path) as file, gzip.open(file) if packed else file as stream:
            shape = _read_shape(stream.read(4 + 4 * dimensions), path, dimensions)
            values = math.prod(shape)
            most = file_bytes * _DEFLATE_MOST if packed else file_bytes
            if values > min(LIMIT_BYTES, most):
                raise _wrong_length(path, values, "far fewer")
            content = stream.read(values + 1)
    except InputError:
        raise
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read, or is cut short ({error})") from None
    if len(content) != values:
        raise _wrong_length(path, values, "more" if len(content) > values else str(len(content)))
    return np.frombuffer(content, np.uint8).reshape(shape)


def _read_shape(header: bytes, path: Path, dimensions: int) -> tuple[int, ...]:
    expected = bytes((0, 0, _UNSIGNED_BYTES, dimensions))
    if header[:4] != expected:
        raise InputError(
            f"{path}: begins with {header[:4].hex() or 'nothing'}, not with {expected.hex()}; it "
            f"is not an idx file of bytes in {dimensions} dimension{'s'[: dimensions > 1]}"
        )
    if len(header) != 4 + 4 * dimensions:
        raise InputError(f"{path}: ends within its header; get the file again")
    return struct.unpack(f">{dimensions}I", header[4:])


def _wrong_length(path: Path, values: int, found: str) -> InputError:
    return InputError(
        f"{path}: the header says {values} values (at most {LIMIT_BYTES} are read) and the file "
        f"holds {found}; get the file again"
    )
