"""Data sets from arrays, ``.npz`` files and PyTorch's own data sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from splitopt.documents.archives import Archive
from splitopt.errors import InputError, shown
from splitopt.training.data.dataset import DataSet, check_finite, split_off_test
from splitopt.training.tasks.targets import LABELS, Targets

ARRAY_LIMIT_BYTES = 2**33
"""The most bytes of arrays that are read from a file."""

_SETS = (("x_train", "y_train", "x_test", "y_test"), ("x", "y"))


def from_arrays(
    arrays: Sequence[Any], name: str, seed: int, targets_are: Targets = LABELS
) -> DataSet:
    """Read ``(x, y)`` or ``(x_train, y_train, x_test, y_test)``, arrays or tensors.

    Numbers of 8 bits are taken for images and divided by 255; other numbers stay as they are,
    floating ones as float32 and whole ones as int64. There are as many classes as the largest
    label says.
    """
    if len(arrays) not in (2, 4):
        raise InputError.at(
            name,
            f"{len(arrays)} arrays; give (x, y) or (x_train, y_train, x_test, y_test)",
        )
    names = _SETS[0] if len(arrays) == 4 else _SETS[1]
    scaled = False
    tensors: list[Tensor] = []
    for array, field in zip(arrays, names, strict=True):
        place = f"{name}, {field}"
        if field.startswith("y"):
            tensors.append(targets_are.read(_numbers(array, place), place))
        else:
            inputs, image = _inputs(array, place)
            scaled |= image
            tensors.append(inputs)
    classes = targets_are.classes_in(tensors[1::2], name)
    for inputs, targets, field in zip(tensors[::2], tensors[1::2], names[1::2], strict=True):
        if len(inputs) != len(targets):
            raise InputError.at(
                f"{name}, {field}",
                f"{len(inputs)} samples and {len(targets)} labels; each sample needs its label",
            )
        if targets_are.are_labels and targets.numel() and int(targets.min()) < 0:
            raise InputError.at(f"{name}, {field}", "a label is below 0; labels count from 0")
    if len(tensors) == 2:
        check_finite(name, "sample", tensors[0])  # before rows get other numbers
        by_class = targets_are.are_labels
        tensors = list(split_off_test(tensors[0], tensors[1], seed, name, by_class=by_class))
    words = "8-bit values / 255" if scaled else "as given"
    first, second, third, fourth = tensors
    return DataSet(name, first, second, third, fourth, classes, words, targets_are)


def from_torch(
    sets: Sequence[Dataset[Any]], name: str, seed: int, targets_are: Targets = LABELS
) -> DataSet:
    """Read one PyTorch data set of ``(input, target)`` pairs, or one to train and one to test."""
    arrays: list[Any] = []
    for part in sets:
        if not hasattr(part, "__len__"):
            raise InputError.at(name, "a data set without a length cannot be shared out; give one")
        inputs: list[Tensor] = []
        targets: list[np.ndarray[Any, Any]] = []
        for index in range(len(part)):
            item = part[index]
            if not isinstance(item, tuple | list) or len(item) != 2:
                raise InputError.at(name, f"item {index} is not a pair (input, label)")
            value, target = item
            inputs.append(torch.as_tensor(np.asarray(value)))
            place = f"{name}, item {index}"
            targets.append(targets_are.read(_numbers(target, place)[None], place).numpy()[0])
        for what, shapes in (
            ("samples", {tuple(value.shape) for value in inputs}),
            ("targets", {value.shape for value in targets}),
        ):
            if len(shapes) != 1:
                raise InputError.at(
                    name,
                    f"{what} have {len(shapes)} different shapes; give at least one sample, "
                    "all of one shape",
                )
        arrays += [torch.stack(inputs), np.stack(targets)]
    return from_arrays(arrays, name, seed, targets_are)


def read_npz(path: Path, seed: int, targets_are: Targets = LABELS) -> DataSet:
    """Read ``x_train, y_train, x_test, y_test`` (or ``x, y``) from a ``.npz`` file without objects.

    Nothing in the file is executed; what its headers claim is checked before memory is taken.
    """
    with Archive(path, ARRAY_LIMIT_BYTES) as archive:
        names = archive.names
        wanted = next((found for found in _SETS if set(found) <= names.keys()), None)
        if wanted is None:
            raise InputError.at(
                str(path),
                f"holds {shown(', '.join(sorted(names)) or 'nothing')}; it must hold x_train, "
                "y_train, x_test and y_test, or x and y",
            )
        arrays = [archive.read(name) for name in wanted]
    return from_arrays(arrays, path.stem, seed, targets_are)


def _numbers(value: Any, place: str) -> np.ndarray[Any, Any]:
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    try:
        array = np.asarray(value)
    except ValueError:
        raise InputError.at(
            place, "has rows of different lengths; samples need one shape"
        ) from None
    if array.dtype.kind not in "buif":
        raise InputError.at(place, f"holds {array.dtype}; it must hold numbers")
    return array


def _inputs(value: Any, place: str) -> tuple[Tensor, bool]:
    """Return the inputs as float32 or int64, and whether they were images of 8 bits."""
    array = _numbers(value, place)
    if not array.ndim:
        raise InputError.at(place, "is a single number; give an array of samples, shape (n, ...)")
    image = array.dtype == np.uint8
    if image:
        return torch.from_numpy(array.astype(np.float32) / np.float32(255)), True
    kind = np.float32 if array.dtype.kind in "bf" else np.int64
    with np.errstate(over="ignore"):  # what float32 cannot hold is found as not finite
        return torch.from_numpy(array.astype(kind)), False
