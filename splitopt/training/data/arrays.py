"""Data sets from arrays, ``.npz`` files and PyTorch's own data sets."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from splitopt.documents.archives import Archive
from splitopt.errors import InputError, shown
from splitopt.training.data.dataset import DataSet, as_array, check_finite, split_off_test
from splitopt.training.data.named import PADDING, Inputs, Named, example_of, tensors_of
from splitopt.training.data.sequences import (
    LENGTHS,
    Sequences,
    made_even,
    of_list,
    padded_example,
    with_lengths,
)
from splitopt.training.tasks.collating import Collate
from splitopt.training.tasks.targets import LABELS, Targets

ARRAY_LIMIT_BYTES = 2**33
"""The most bytes of arrays that are read from a file."""

_SETS = (("x_train", "y_train", "x_test", "y_test"), ("x", "y"))


def from_arrays(
    arrays: Sequence[Any],
    name: str,
    seed: int,
    targets_are: Targets = LABELS,
    least_classes: int = 0,
    collate: Collate | None = None,
) -> DataSet:
    """Read ``(x, y)`` or ``(x_train, y_train, x_test, y_test)``, arrays or tensors.

    Each x may be a dict of arrays, whose names are those of the model's arguments, or a tuple of
    arrays in the order of these. A list of arrays of unequal lengths is padded by `collate`.

    Numbers of 8 bits are taken for images and divided by 255; other numbers stay as they are,
    floating ones as float32 and whole ones as int64. There are as many classes as the largest
    label says, and not fewer than `least_classes`.
    """
    if len(arrays) not in (2, 4):
        raise InputError.at(
            name,
            f"{len(arrays)} arrays; give (x, y) or (x_train, y_train, x_test, y_test)",
        )
    names = _SETS[0] if len(arrays) == 4 else _SETS[1]
    places = [f"{name}, {field}" for field in names]
    evened, scaled = _evened(arrays, places, targets_are, collate)
    read: list[Any] = []
    for array, field, place in zip(evened or arrays, names, places, strict=True):
        if evened and field.startswith("x"):
            read.append(array)
        elif field.startswith("y"):
            read.append(targets_are.read(_numbers(array, place), place))
        else:
            inputs, image = _inputs(array, place, arrays[names.index(field) + 1])
            scaled |= image
            read.append(inputs)
    classes = targets_are.classes_in(read[1::2], name)
    if classes is not None and targets_are.kind == "classes":
        classes = max(classes, least_classes)
    for inputs, targets, field in zip(read[::2], read[1::2], names[1::2], strict=True):
        if len(inputs) != len(targets):
            raise InputError.at(
                f"{name}, {field}",
                f"{len(inputs)} samples and {len(targets)} labels; each sample needs its label",
            )
        if targets_are.are_labels and targets.numel() and int(targets.min()) < 0:
            raise InputError.at(f"{name}, {field}", "a label is below 0; labels count from 0")
    if len(read) == 2:
        check_finite(name, "sample", read[0])  # before rows get other numbers
        by_class = targets_are.are_labels
        read = list(split_off_test(read[0], read[1], seed, name, by_class=by_class))
    words = "8-bit values / 255" if scaled else "as given"
    first, second, third, fourth = read
    return DataSet(name, first, second, third, fourth, classes, words, targets_are)


def from_torch(
    sets: Sequence[Dataset[Any]],
    name: str,
    seed: int,
    targets_are: Targets = LABELS,
    least_classes: int = 0,
    collate: Collate | None = None,
) -> DataSet:
    """Read one PyTorch data set of ``(input, target)`` pairs, or one to train and one to test.

    Samples of unequal length are padded by `collate`.
    """
    arrays: list[Any] = []
    for part in sets:
        if not hasattr(part, "__len__"):
            raise InputError.at(name, "a data set without a length cannot be shared out; give one")
        inputs: list[dict[str, Tensor]] = []
        targets: list[np.ndarray[Any, Any]] = []
        for index in range(len(part)):
            item = part[index]
            if not isinstance(item, tuple | list) or len(item) != 2:
                raise InputError.at(name, f"item {index} is not a pair (input, label)")
            value, target = item
            named = value if isinstance(value, Mapping) else {"": value}
            inputs.append({k: torch.as_tensor(np.asarray(one)) for k, one in named.items()})
            place = f"{name}, item {index}"
            targets.append(targets_are.read(_numbers(target, place)[None], place).numpy()[0])
        if collate is not None and all(tuple(value) == ("",) for value in inputs):
            values = [value[""] for value in inputs]
            if of_list(values, f"{name}, inputs") is not None:
                arrays += [values, targets]
                continue
        for what, shapes in (
            ("samples", {tuple((k, v.shape) for k, v in value.items()) for value in inputs}),
            ("targets", {value.shape for value in targets}),
        ):
            if len(shapes) != 1:
                raise InputError.at(
                    name,
                    f"{what} have {len(shapes)} different shapes; give at least one sample, "
                    "all of one shape",
                )
        stacked = {k: torch.stack([value[k] for value in inputs]) for k in inputs[0]}
        arrays += [stacked.get("", stacked), np.stack(targets)]
    return from_arrays(arrays, name, seed, targets_are, least_classes, collate)


def read_npz(
    path: Path, seed: int, targets_are: Targets = LABELS, collate: Collate | None = None
) -> DataSet:
    """Read ``x_train, y_train, x_test, y_test`` (or ``x, y``) from a ``.npz`` file without objects.

    Samples of unequal length have their ``lengths_train`` and ``lengths_test`` (or ``lengths``)
    beside them, and are padded by `collate`.

    Nothing in the file is executed; what its headers claim is checked before memory is taken.
    """
    with Archive(path, ARRAY_LIMIT_BYTES) as archive:
        arrays = read_fields(archive, _SETS, path)
    return from_arrays(arrays, path.stem, seed, targets_are, collate=collate)


def read_fields(archive: Archive, sets: Sequence[tuple[str, ...]], path: Path) -> list[Any]:
    """Read the fields of the first of some sets that a file has all of.

    Raises
    ------
    InputError
        It has none of the sets.
    """
    wanted = next((found for found in sets if set(found) <= _fields(archive.names)), None)
    if wanted is None:
        choices = ", or ".join(f"{', '.join(own[:-1])} and {own[-1]}" for own in sets)
        held = shown(", ".join(sorted(archive.names)) or "nothing")
        raise InputError.at(str(path), f"holds {held}; it must hold {choices}")
    return [_field(archive, name) for name in wanted]


def npz_bytes(arrays: Mapping[str, Any], classes: int | None = None) -> bytes:
    """Return the content of an ``.npz`` file with some arrays, and how many classes there are."""
    buffer = io.BytesIO()
    counted: dict[str, Any] = {} if classes is None else {"classes": np.int64(classes)}
    np.savez(buffer, **arrays, **counted)
    return buffer.getvalue()


def read_example(path: Path) -> Any:
    """Read inputs of an ``.npz`` file as an example to trace a model with, whatever its targets.

    Raises
    ------
    InputError
        It holds none.
    """
    with Archive(path, ARRAY_LIMIT_BYTES) as archive:
        field = next((own for own in ("x_train", "x") if own in _fields(archive.names)), None)
        if field is None:
            held = shown(", ".join(sorted(archive.names)) or "nothing")
            raise InputError.at(str(path), f"holds {held}; inputs are called x_train or x")
        place, found = f"{path}, {field}", _field(archive, field)
        if isinstance(found, Sequences):
            return example_of(padded_example(found, _input(found.values, place)[0], place))
        inputs, _ = _inputs(found, place, None)
    return example_of(inputs)


def arrays_of(field: str, values: Inputs) -> dict[str, np.ndarray[Any, Any]]:
    """Return a field of a data set as the arrays that `read_npz` reads it from."""
    found = tensors_of(values)
    if tuple(found) == ("", PADDING):
        lengths = found[PADDING].sum(dim=1)
        return {field: as_array(found[""]), LENGTHS[field]: as_array(lengths)}
    return {f"{field}.{name}" if name else field: as_array(value) for name, value in found.items()}


def _fields(names: Iterable[str]) -> set[str]:
    """Return which fields a file has; one with several inputs has an array for each of these."""
    return {name.partition(".")[0] if name.startswith("x") else name for name in names}


def _field(archive: Archive, field: str) -> Any:
    """Read the array of a field, or its arrays by the names of inputs: ``x_train.NAME``.

    One whose file has the lengths of its samples is read with these.
    """
    lengths = LENGTHS.get(field)
    if field in archive.names:
        values = archive.read(field)
        if lengths not in archive.names:
            return values
        return with_lengths(values, archive.read(lengths), f"{archive.path}, {field}")
    if lengths in archive.names:
        raise InputError.at(
            f"{archive.path}, {lengths}",
            f"is for a single input {field}, and there are several; give these with one length",
        )
    prefix = f"{field}."
    return {
        name.removeprefix(prefix): archive.read(name)
        for name in archive.names
        if name.startswith(prefix)
    }


def _evened(
    arrays: Sequence[Any], places: Sequence[str], targets_are: Targets, collate: Collate | None
) -> tuple[list[Any], bool]:
    """Return arrays with inputs padded to one length, and whether some were images.

    There are none where all samples have one length already.
    """
    given = [
        (x if isinstance(x, Sequences) else of_list(x, place))
        for x, place in zip(arrays[::2], places[::2], strict=True)
    ]
    if not any(given):
        return [], False
    pairs = []
    for samples, x, y, place in zip(given, arrays[::2], arrays[1::2], places[::2], strict=True):
        if samples is None:  # all of one length
            array = _numbers(x, place)
            if array.ndim < 2:
                raise InputError.at(
                    place,
                    f"has shape {array.shape}, and other samples have lengths; give a list of "
                    "arrays, or lengths for all",
                )
            samples = with_lengths(array, np.full(len(array), array.shape[1]), place)
        pairs.append((samples, y))
    found = made_even(pairs, places[::2], _input, targets_are, collate)
    flat = [value for inputs, targets, _ in found for value in (inputs, targets)]
    return flat, any(image for _, _, image in found)


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


def _inputs(value: Any, place: str, targets: Any) -> tuple[Inputs, bool]:
    """Return the inputs as tensors, and whether some were images of 8 bits.

    A tuple of arrays is one input after the other where it cannot be one array of samples, as many
    as there are targets.
    """
    if isinstance(value, tuple) and _are_several(value, targets):
        value = {str(index): one for index, one in enumerate(value)}
    if not isinstance(value, Mapping):
        return _input(value, place)
    read, images = {}, False
    for name, one in value.items():
        if not isinstance(name, str) or not name:
            raise InputError.at(place, f"has the name {shown(name)}; inputs are named by texts")
        read[name], image = _input(one, f"{place}.{name}", keep_bool=True)
        images |= image
    try:
        return Named(read), images
    except InputError as error:
        raise InputError(f"{place}: {error}") from None


def _are_several(value: tuple[Any, ...], targets: Any) -> bool:
    """Whether a tuple holds inputs, and not one sample for each target."""
    arrays = all(isinstance(one, Tensor | np.ndarray) and one.ndim for one in value)
    count = len(targets) if hasattr(targets, "__len__") else None
    return arrays and len(value) > 0 and len(value) != count


def _input(value: Any, place: str, *, keep_bool: bool = False) -> tuple[Tensor, bool]:
    """Return an input as float32 or int64, and whether it was images of 8 bits.

    Several inputs may hold masks, which stay what they are with `keep_bool`.
    """
    array = _numbers(value, place)
    if not array.ndim:
        raise InputError.at(place, "is a single number; give an array of samples, shape (n, ...)")
    if array.dtype == np.uint8:
        return torch.from_numpy(array.astype(np.float32) / np.float32(255)), True
    if keep_bool and array.dtype == np.bool_:
        return torch.from_numpy(array), False
    kind = np.float32 if array.dtype.kind in "bf" else np.int64
    with np.errstate(over="ignore"):  # what float32 cannot hold is found as not finite
        return torch.from_numpy(array.astype(kind)), False
