"""Samples of unequal length: lists of arrays, or values with the lengths of samples, made even.

All samples are padded to the longest one when they are read, so that a batch has the shape that a
model was profiled with, and what crosses a cut is as large as was planned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splitopt.errors import InputError, SplitoptError, shown
from splitopt.training.data.named import PADDING, Inputs, Named
from splitopt.training.tasks.collating import Collate, Padded, mask_of, padded
from splitopt.training.tasks.targets import Targets

LENGTHS = {"x": "lengths", "x_train": "lengths_train", "x_test": "lengths_test"}
"""Field of a file -> the field with the lengths of its samples."""

MOST_BYTES = 2**33
"""Of padded samples."""

Array = np.ndarray[Any, Any]
Convert = Callable[[Any, str], tuple[Tensor, bool]]


@dataclass(frozen=True, eq=False)
class Sequences:
    """Samples of unequal length.

    Parameters
    ----------
    values
        The positions of all samples, one sample after the other: shape (sum of lengths, ...).
    lengths
        Positions of each sample, >= 1: shape (n,).
    room
        Positions that each is to have, those of the longest or more.
    """

    values: Any
    lengths: Array
    room: int

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def mask(self) -> Array:
        """Which positions are those of a sample, shape (n, room)."""
        found: Array = np.arange(self.room) < self.lengths[:, None]
        return found

    def split(self, values: Tensor) -> list[Tensor]:
        """Return what belongs to each sample of something that there is for each position."""
        return list(torch.split(values, self.lengths.tolist()))


def with_lengths(values: Array, lengths: Array, place: str) -> Sequences:
    """Return samples of a file: an array of values, and how many of them belong to each sample.

    The values are those of one sample after the other, or a row for each, of which the first so
    many count.

    Raises
    ------
    InputError
        Lengths that are no whole numbers from 1 on, or do not fit the values.
    """
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or not len(lengths):
        raise InputError.at(place, f"has lengths of shape {lengths.shape}; give a whole number for "
                            "each sample, shape (n,)")  # fmt: skip
    if (lengths < 1).any() or (lengths > max(values.size, 1)).any():
        bad = int(np.flatnonzero((lengths < 1) | (lengths > values.size))[0])
        raise InputError.at(
            place,
            f"sample {bad} has the length {int(lengths[bad])}; a sample has 1 or more positions, "
            "and not more than there are",
        )
    lengths = lengths.astype(np.int64)
    longest, total = int(lengths.max()), int(lengths.sum())
    if values.ndim > 1 and len(values) == len(lengths):
        if longest > values.shape[1]:
            raise InputError.at(
                place,
                f"sample {int(lengths.argmax())} has the length {longest}, and the rows have "
                f"{values.shape[1]} positions; give rows as long as the longest sample",
            )
        found = Sequences(values, lengths, values.shape[1])
        return Sequences(values[found.mask], lengths, values.shape[1])
    if values.ndim < 1 or len(values) != total:
        raise InputError.at(
            place,
            f"has shape {values.shape}, and its lengths add up to {total}; give the positions of "
            "one sample after the other, or a row for each of the samples",
        )
    return Sequences(values, lengths, longest)


def of_list(value: Any, place: str) -> Sequences | None:
    """Return a list of arrays of unequal lengths as samples; None for anything else.

    Raises
    ------
    InputError
        Arrays that differ beyond their lengths, or an empty one.
    """
    if not isinstance(value, list) or not value:  # a tuple is of several inputs
        return None
    try:
        arrays = [_array(one) for one in value]
    except (ValueError, TypeError):
        return None  # whoever reads it says what is wrong
    if any(not one.ndim for one in arrays) or len({len(one) for one in arrays}) < 2:
        return None
    first = arrays[0]
    for index, one in enumerate(arrays):
        if one.shape[1:] != first.shape[1:] or not len(one):
            raise InputError.at(
                place,
                f"sample {index} has shape {one.shape} and the first one {first.shape}; samples "
                "may differ in their length alone, which is 1 or more",
            )
    lengths = np.array([len(one) for one in arrays])
    return Sequences(np.concatenate(arrays), lengths, int(lengths.max()))


def made_even(
    pairs: Sequence[tuple[Sequences, Any]],
    places: Sequence[str],
    convert: Convert,
    targets_are: Targets,
    collate: Collate | None,
) -> list[tuple[Inputs, Array, bool]]:
    """Pad samples to one length.

    Parameters
    ----------
    pairs
        Samples and their targets, to train and to test with.
    places
        How messages call the samples of each pair.
    convert
        Makes values a tensor, and says whether they were images.
    targets_are
        What the targets are.
    collate
        Of the task.

    Returns
    -------
    For each pair the inputs, with the mask under `PADDING` where there is one; the targets; and
    whether values were images.

    Raises
    ------
    InputError
        The task has no collate, or it fails, or gives what does not fit.
    """
    if collate is None:
        raise InputError.at(
            places[0],
            "has samples of different lengths, and the task has no collate to pad them with; give "
            "samples of one length, or Task(collate=...)",
        )
    length = max(samples.room for samples, _ in pairs)
    found = []
    for (samples, y), place in zip(pairs, places, strict=True):
        _check_size(samples, length, place)
        values, image = convert(samples.values, place)
        targets = _targets(y, samples, targets_are, place)
        batch = _collated(collate, samples.split(values), targets, length, place)
        found.append((_checked(batch, samples, length, place), batch.targets.numpy(), image))
    return found


def padded_example(samples: Sequences, values: Tensor, place: str) -> Named:
    """Return inputs to trace a model with, whatever the targets."""
    _check_size(samples, samples.room, place)
    each = samples.split(values)
    return Named({"": padded(each, samples.room), PADDING: mask_of(each, samples.room)})


def _array(value: Any) -> Array:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)


def _numbers(value: Any, place: str) -> Array:
    """Return numbers as int64 or float64, in the order of bytes that PyTorch takes."""
    try:
        found = _array(value)
    except (ValueError, TypeError):
        found = np.empty(0, dtype=object)
    if found.dtype.kind not in "buif":
        raise InputError.at(place, "has targets that are no numbers; give arrays of numbers")
    kind = np.float64 if found.dtype.kind == "f" else np.int64
    return np.ascontiguousarray(found, dtype=kind).reshape(found.shape)


def _check_size(samples: Sequences, length: int, place: str) -> None:
    """Raise `InputError` before memory is taken that nobody has."""
    size = len(samples) * length * 8 * max(1, _array(samples.values)[:1].size)
    if size > MOST_BYTES:
        raise InputError.at(
            place,
            f"has {len(samples):,} samples, which would be {size / 2**30:,.0f} GiB when padded to "
            f"the longest, of {length:,} positions; cut the longest ones",
        )


def _targets(y: Any, samples: Sequences, targets_are: Targets, place: str) -> list[Tensor]:
    """Return the targets of each sample: one for each of its positions, or one for it."""
    count, total = len(samples), int(samples.lengths.sum())
    if isinstance(y, list | tuple) and len(y) == count:
        each = [_numbers(one, place) for one in y]
        if len({one.shape for one in each}) > 1:
            return [torch.from_numpy(one) for one in each]
    values = _numbers(y, place)
    if not values.ndim:
        raise InputError.at(place, "has a single target; give arrays of numbers")
    by_position = targets_are.kind in ("classes", "any") and targets_are.dimensions in (1, None)
    if len(values) == count:
        if by_position and values.ndim > 1 and values.shape[1] == samples.room:
            return samples.split(torch.from_numpy(values[samples.mask]))
        return list(torch.from_numpy(values))
    if len(values) == total:
        return samples.split(torch.from_numpy(values))
    raise InputError.at(
        place,
        f"has {count} samples of {total} positions in all, and {len(values)} targets; give one for "
        "each sample, or for each position",
    )


def _collated(
    collate: Collate, inputs: list[Tensor], targets: list[Tensor], length: int, place: str
) -> Padded:
    """Call the collate of a task, which may be the user's own."""
    try:
        found: Any = collate(inputs, targets, length)
    except SplitoptError as error:
        raise InputError.at(place, str(error)) from None
    except Exception as error:
        raise InputError.at(
            place,
            f"the collate of the task fails ({type(error).__name__}: {shown(str(error))}); it is "
            "called with inputs, targets and the length of all",
        ) from None
    if not isinstance(found, tuple) or len(found) != 3 or not isinstance(found[2], Tensor):
        raise InputError.at(
            place,
            f"the collate of the task gives {type(found).__name__}; it must give inputs, a mask or "
            "None, and targets",
        )
    return Padded(*found)


def _checked(batch: Padded, samples: Sequences, length: int, place: str) -> Inputs:
    """Return the inputs of a batch with their mask; reject what does not fit the samples."""
    given: Any = batch.inputs
    named: dict[str, Tensor] = {"": given} if isinstance(given, Tensor) else {}
    if isinstance(given, Mapping):
        named = dict(given)
    if not named or not all(isinstance(value, Tensor) for value in named.values()):
        raise InputError.at(
            place, "the collate of the task gives inputs that are no tensor and no dict of tensors"
        )
    for name, value in named.items():
        if value.dim() < 1 or len(value) != len(samples):
            of = f" of {shown(name)}" if name else ""
            raise InputError.at(
                place,
                f"the collate of the task gives inputs{of} of shape {tuple(value.shape)} for "
                f"{len(samples)} samples; give a row for each",
            )
    mask = batch.mask
    if mask is None:
        return given if isinstance(given, Tensor) else Named(named)
    first = next(iter(named.values()))
    if not isinstance(mask, Tensor) or mask.shape != first.shape[:2] or mask.shape[1] != length:
        what = tuple(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__
        raise InputError.at(
            place,
            f"the mask is {what} and the inputs are {tuple(first.shape)}, to be padded to {length} "
            "positions; a mask has a truth value for each position, shape (n, length)",
        )
    seen = mask.bool().sum(dim=1).numpy()
    if mask.dtype != torch.bool or (seen != samples.lengths).any():
        bad = int(np.flatnonzero(seen != samples.lengths)[0]) if mask.dtype == torch.bool else 0
        raise InputError.at(
            place,
            f"the mask of sample {bad} has {int(seen[bad])} positions in {mask.dtype}, and the "
            f"sample has {int(samples.lengths[bad])}; a mask is true where the sample is, and "
            "false where it is padded",
        )
    return Named({**named, PADDING: mask})
