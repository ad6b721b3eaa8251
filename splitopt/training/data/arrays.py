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

ARRAY_LIMIT_BYTES = 2**33
"""The most bytes of arrays that are read from a file."""
MOST_CLASSES = 100_000
"""Classes that data may have without a sample of each: a model has an output for every one."""

_SETS = (("x_train", "y_train", "x_test", "y_test"), ("x", "y"))


def from_arrays(arrays: Sequence[Any], name: str, seed: int) -> DataSet:
    """Take ``(x, y)`` or ``(x_train, y_train, x_test, y_test)``, arrays or tensors.

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
            tensors.append(_targets(array, place))
        else:
            inputs, image = _inputs(array, place)
            scaled |= image
            tensors.append(inputs)
    classes = _classes(tensors[1::2], name)
    for inputs, targets, field in zip(tensors[::2], tensors[1::2], names[1::2], strict=True):
        if len(inputs) != len(targets):
            raise InputError.at(
                f"{name}, {field}",
                f"{len(inputs)} samples and {len(targets)} labels; each sample needs its label",
            )
        if targets.numel() and int(targets.min()) < 0:
            raise InputError.at(f"{name}, {field}", "a label is below 0; labels count from 0")
    if len(tensors) == 2:
        check_finite(name, "sample", tensors[0])  # before rows get other numbers
        tensors = list(split_off_test(tensors[0], tensors[1], seed, name))
    words = "8-bit values / 255" if scaled else "as given"
    return DataSet(name, tensors[0], tensors[1], tensors[2], tensors[3], classes, words)


def _classes(labels: Sequence[Tensor], name: str) -> int:
    """Return 1 + the largest label; the last layer of a model has an output for each."""
    classes = 1 + max((int(t.max()) for t in labels if len(t)), default=0)
    most = max(MOST_CLASSES, sum(len(t) for t in labels))
    if classes > most:
        raise InputError.at(
            name,
            f"has the label {classes - 1}, so there would be {classes} classes, and at most {most} "
            "are trained; number the classes 0, 1, ...",
        )
    return classes


def from_torch(sets: Sequence[Dataset[Any]], name: str, seed: int) -> DataSet:
    """Take one PyTorch data set of ``(input, label)`` pairs, or one to train and one to test."""
    arrays: list[Any] = []
    for part in sets:
        if not hasattr(part, "__len__"):
            raise InputError.at(name, "a data set without a length cannot be shared out; give one")
        inputs: list[Tensor] = []
        targets: list[int] = []
        for index in range(len(part)):
            item = part[index]
            if not isinstance(item, tuple | list) or len(item) != 2:
                raise InputError.at(name, f"item {index} is not a pair (input, label)")
            value, label = item
            inputs.append(torch.as_tensor(np.asarray(value)))
            targets.append(_targets(np.asarray(label).reshape(1), f"{name}, item {index}").item())  # type: ignore[arg-type]
        shapes = {tuple(value.shape) for value in inputs}
        if len(shapes) != 1:
            raise InputError.at(
                name,
                f"samples have {len(shapes)} different shapes; give at least one sample, "
                "all of one shape",
            )
        arrays += [torch.stack(inputs), torch.tensor(targets)]
    return from_arrays(arrays, name, seed)


def read_npz(path: Path, seed: int) -> DataSet:
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
    return from_arrays(arrays, path.stem, seed)


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


def _targets(value: Any, place: str) -> Tensor:
    array = _numbers(value, place)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise InputError.at(
            place,
            f"has shape {array.shape}; a label for each sample is needed, shape (n,), of one-hot "
            "rows argmax(axis=1); what has no classes, or several labels a sample, is not trained",
        )
    if array.dtype.kind == "f" and not (np.isfinite(array) & (array == np.round(array))).all():
        raise InputError.at(
            place, "holds a label that is not a whole number; labels are classes, 0, 1, ..."
        )
    if array.size and not (np.abs(array.astype(np.float64)) < 2**31).all():
        raise InputError.at(place, "holds a label beyond 2^31; labels are 0, 1, ...")
    return torch.from_numpy(array.astype(np.int64))
