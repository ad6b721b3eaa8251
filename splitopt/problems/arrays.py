"""Arrays that come from outside: read strictly, named precisely when they are wrong."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from splitopt.errors import InputError, shown
from splitopt.problems.base import BoolArray, FloatArray


def number_table(
    value: Any, source: str, unit: str, shape: tuple[int, ...] = (), signed: bool = False
) -> FloatArray:
    """Read an array of finite numbers >= 0 and make it read-only.

    Parameters
    ----------
    value
        Nested lists or an array; booleans, texts and ragged rows are refused.
    source
        The name of the field, for messages.
    unit
        What the numbers are, for messages, such as ``"times in s"``.
    shape
        The expected shape, -1 where any length >= 1 will do.
    signed
        Take numbers below 0 as well.
    """
    array = _plain_array(value, source, shape)
    limit = "finite" if signed else "finite and >= 0"
    if array.dtype.kind not in "iuf":
        raise InputError.at(_place(value, source), f"must hold numbers ({unit}, {limit})")
    found = np.ascontiguousarray(array, dtype=np.float64)
    bad = ~np.isfinite(found) if signed else ~np.isfinite(found) | (found < 0)
    if bad.any():
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        where = source + "".join(f"[{i}]" for i in place)
        raise InputError.at(where, f"is {found[place]}, it must be {limit} ({unit})")
    if found is value and not _frozen(found):
        found = found.copy()
    found.setflags(write=False)
    return found


def number(value: Any, source: str, unit: str, positive: bool = False) -> float:
    """Read one finite number >= 0, or above 0 if it must be `positive`.

    Parameters
    ----------
    value
        A Python or numpy number, or an array of no dimension; booleans and texts are refused.
    source, unit
        The name of the field and what the number is, for messages.
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    limit = "finite and above 0" if positive else "finite and >= 0"
    if not _is_number(value):
        raise InputError.at(source, f"is {shown(value)}, it must be a number ({unit}, {limit})")
    found = as_float(value)
    if not np.isfinite(found) or found < 0 or (positive and found == 0):
        raise InputError.at(source, f"is {found:g}, it must be {limit} ({unit})")
    return found


def whole_number(value: Any, source: str, least: int) -> int:
    """Read a whole number of at least `least`, written as an integer or as a float like 2.0."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    finite = _is_number(value) and np.isfinite(as_float(value))
    if not finite or value != int(value) or value < least:
        raise InputError.at(source, f"is {shown(value)}, it must be a whole number >= {least}")
    return int(value)


def boolean_table(value: Any, source: str, shape: tuple[int, ...]) -> BoolArray:
    """Read an array of true and false and make it read-only."""
    array = _plain_array(value, source, shape)
    if array.dtype.kind != "b":
        raise InputError.at(source, "must hold only true and false")
    found = np.array(array, dtype=np.bool_, order="C")
    found.setflags(write=False)
    return found


def _frozen(array: Any) -> bool:
    """Whether nobody can write to an array, nor to one that it is a view of."""
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return False
        array = array.base
    return array is None


def _plain_array(value: Any, source: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    if not isinstance(value, list | tuple | np.ndarray):
        raise InputError.at(source, f"must be a list, it is {type(value).__name__}")
    if _holds_mixed_booleans(value):
        raise InputError.at(source, "mixes numbers with true and false")
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):
        raise InputError.at(
            source, f"must be a table of {_words(shape)}; {_ragged(value)}"
        ) from None
    if array.dtype.kind == "O":
        raise InputError.at(
            _place(value, source), "holds something that is not a number, or one beyond 2^64"
        )
    fits = array.ndim == len(shape) and all(
        size >= 1 if want < 0 else size == want
        for size, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        found = " x ".join(str(size) for size in array.shape) or "a single value"
        raise InputError.at(source, f"is {found}, it must be {_words(shape)}")
    return array


def _holds_mixed_booleans(value: Any) -> bool:
    """Whether lists hold booleans beside numbers, which numpy would silently turn into 0 and 1."""
    if isinstance(value, np.ndarray):
        return False
    kinds = set()
    stack = list(value)
    while stack:
        item = stack.pop()
        if isinstance(item, list | tuple):
            stack.extend(item)
        else:
            kinds.add(isinstance(item, bool | np.bool_))
    return len(kinds) > 1


def _place(value: Any, source: str) -> str:
    """Name the first entry that is not a number."""
    path, item = source, value
    while isinstance(item, list | tuple):
        for index, entry in enumerate(item):
            deeper = isinstance(entry, list | tuple)
            if (deeper and _first_odd(entry)) or (not deeper and not _is_number(entry)):
                path, item = f"{path}[{index}]", entry
                break
        else:
            return path
    return path


def _first_odd(value: Any) -> bool:
    return any(
        _first_odd(item) if isinstance(item, list | tuple) else not _is_number(item)
        for item in value
    )


def as_float(value: Any) -> float:
    """Return a number as a float, infinity for a whole number beyond all floats."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _ragged(value: Any) -> str:
    lengths = [len(row) if isinstance(row, list | tuple) else 0 for row in value]
    for index, length in enumerate(lengths):
        if length != lengths[0]:
            return f"row {index} has {length} entries where row 0 has {lengths[0]}"
    return "its rows do not have the same length"


def _words(shape: tuple[int, ...]) -> str:
    sizes = ["N >= 1" if size < 0 else str(size) for size in shape]
    return " x ".join(sizes) + (" entries" if len(shape) == 1 else "")
