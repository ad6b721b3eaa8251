"""Arrays that come from outside: read strictly, named precisely when they are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from splitopt.documents.checks import as_float, as_whole, is_real
from splitopt.errors import InputError, shown
from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.ranges import MOST

MOST_WHOLE = 2**53
"""The largest whole number taken: beyond it a float cannot tell a number from the next one."""


def number_table(
    value: Any, source: str, unit: str, shape: tuple[int, ...] = (), signed: bool = False
) -> FloatArray:
    """Read an array of finite numbers >= 0 and make it read-only.

    Parameters
    ----------
    value
        Nested lists, or what numpy can read as an array (a tensor, a column of a table, a range);
        booleans, texts and ragged rows are refused.
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
    if found.size and not (
        (-MOST if signed else 0.0) <= found.min() and found.max() <= MOST
    ):  # NaN is neither
        raise _bad_number(found, source, f"{limit} ({unit})", signed)
    if found is value and not _frozen(found):
        found = found.copy()
    found.setflags(write=False)
    return found


def _bad_number(found: FloatArray, source: str, rule: str, signed: bool) -> InputError:
    """Return the error that names the first number that is not taken."""
    bad = ~np.isfinite(found) if signed else ~np.isfinite(found) | (found < 0)
    mend = f"it must be {rule}"
    if not bad.any():
        bad, mend = (
            np.abs(found) > MOST,
            f"it must be at most {MOST:g} and {rule}: take larger units",
        )
    place = tuple(int(i) for i in np.argwhere(bad)[0])
    return InputError.at(source + "".join(f"[{i}]" for i in place), f"is {found[place]}, {mend}")


def number(value: Any, source: str, unit: str, positive: bool = False) -> float:
    """Read one finite number >= 0, or above 0 if it must be `positive`.

    Parameters
    ----------
    value
        A Python or numpy number, or an array of no dimension; booleans and texts are refused.
    source, unit
        The name of the field and what the number is, for messages.
    """
    value = _scalar(value)
    limit = "finite and above 0" if positive else "finite and >= 0"
    if not is_real(value):
        raise InputError.at(source, f"is {shown(value)}, it must be a number ({unit}, {limit})")
    found = as_float(value)
    if not np.isfinite(found) or found < 0 or (positive and found == 0):
        raise InputError.at(source, f"is {found:g}, it must be {limit} ({unit})")
    if found > MOST:
        raise InputError.at(source, f"is {found:g}, it must be at most {MOST:g} ({unit})")
    return found


def whole_number(value: Any, source: str, least: int) -> int:
    """Read a whole number of at least `least`, written as an integer or as a float like 2.0."""
    value = _scalar(value)
    found = as_whole(value)
    if found is None or not least <= found <= MOST_WHOLE:
        most = f" and <= {MOST_WHOLE}" if found is not None and found > MOST_WHOLE else ""
        raise InputError.at(
            source, f"is {shown(value)}, it must be a whole number >= {least}{most}"
        )
    return found


def indices(value: Any, source: str, rule: str, least: int, most: int, length: int) -> IntArray:
    """Read a list of whole numbers from `least` to `most`, such as the cuts of a fleet.

    An array of integers costs no more than the look for its smallest and its largest entry.

    Parameters
    ----------
    value
        As for `number_table`, with floats like 2.0 taken for 2.
    source
        The name of the field, for messages.
    rule
        What the numbers are, for messages, such as ``"cuts count layers on the device"``.
    length
        How many are expected, -1 where any number of them will do.
    """
    found = index_array(value, source)
    if length >= 0 and len(found) != length:
        raise InputError.at(source, f"has {len(found)} entries, it needs {length}; {rule}")
    if found.size and (found.min() < least or found.max() > most):
        place = int(np.argmax((found < least) | (found > most)))
        raise InputError.at(
            f"{source}[{place}]", f"is {found[place]}; {rule}, from {least} to {most}"
        )
    return found


def index_array(value: Any, source: str) -> IntArray:
    """Read a list of whole numbers of any sign as integers, shape (K,), K >= 0."""
    if isinstance(value, np.ndarray) and value.dtype == np.int64 and value.ndim == 1:
        return value
    given = _listed(value, source)
    if len(given) == 0:
        return np.empty(0, dtype=np.int64)
    numbers = number_table(given, source, "whole numbers", (-1,), signed=True)
    odd = (numbers != np.floor(numbers)) | (np.abs(numbers) > MOST_WHOLE)
    if odd.any():
        place = int(np.argmax(odd))
        raise InputError.at(
            f"{source}[{place}]", f"is {numbers[place]:g}, it must be a whole number"
        )
    return numbers.astype(np.int64)


def share_array(value: Any, source: str) -> FloatArray:
    """Read a list of numbers, shape (K,), that a decision holds; any of them may be NaN."""
    if isinstance(value, np.ndarray) and value.dtype == np.float64 and value.ndim == 1:
        return value
    array = _plain_array(value, source, (-1,))
    if array.dtype.kind not in "iuf":
        raise InputError.at(_place(value, source), "must hold numbers")
    return np.asarray(array, dtype=np.float64)


def boolean_table(value: Any, source: str, shape: tuple[int, ...]) -> BoolArray:
    """Read an array of true and false, or of 1 and 0, and make it read-only."""
    array = _plain_array(value, source, shape)
    if array.dtype.kind != "b" and not (array.dtype.kind in "iu" and np.isin(array, (0, 1)).all()):
        raise InputError.at(source, "must hold only true and false, or only 1 and 0")
    found = np.array(array, dtype=np.bool_, order="C")
    found.setflags(write=False)
    return found


def read_names(value: Any, source: str) -> tuple[str, ...]:
    """Read a list with a name for every cut, which all differ."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, list | tuple) or not value:
        raise InputError.at(source, "must be a list with a name for every cut")
    for index, name in enumerate(value):
        if not isinstance(name, str) or not name:
            raise InputError.at(f"{source}[{index}]", f"is {shown(name)}, it must be a name")
        if name in value[:index]:
            raise InputError.at(f"{source}[{index}]", f"{name!r} stands twice; names must differ")
    return tuple(value)


def _frozen(array: Any) -> bool:
    """Whether nobody can write to an array, nor to one that it is a view of."""
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return False
        array = array.base
    return array is None


def _plain_array(value: Any, source: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    value = _listed(value, source)
    if _holds_mixed_booleans(value):
        raise InputError.at(source, "mixes numbers with true and false")
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):
        raise InputError.at(
            source, f"must be a table of {_words(shape)}; {_ragged(value)}"
        ) from None
    if array.dtype.kind == "O":
        array = _of_large_integers(array)
    if array.dtype.kind == "O":
        raise InputError.at(_place(value, source), "holds something that is not a number")
    fits = array.ndim == len(shape) and all(
        size >= 1 if want < 0 else size == want
        for size, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        found = " x ".join(str(size) for size in array.shape) or "a single value"
        raise InputError.at(source, f"is {found}, it must be {_words(shape)}")
    return array


def _listed(value: Any, source: str) -> Any:
    """Return a list, tuple or array as it is, and what can be read as one as an array."""
    if isinstance(value, list | tuple | np.ndarray):
        return value
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        return list(value)
    if not hasattr(value, "__array__"):
        raise InputError.at(source, f"must be a list, it is {type(value).__name__}")
    try:
        return np.asarray(value)
    except Exception as error:  # whatever a foreign class raises, such as a tensor with gradients
        raise InputError.at(
            source, f"is {type(value).__name__}, which gives no array ({error})"
        ) from None


def _of_large_integers(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return integers beyond 64 bits as floats; anything else as it is."""
    if not all(is_real(item) for item in array.flat):
        return array
    try:
        return array.astype(np.float64)
    except OverflowError:  # beyond the largest float: the caller finds it and says where
        return np.array([as_float(item) for item in array.flat]).reshape(array.shape)


def _scalar(value: Any) -> Any:
    """Return the number in an array or a tensor of no dimension, anything else as it is."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    return value


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
            if (deeper and _first_odd(entry)) or (not deeper and not is_real(entry)):
                path, item = f"{path}[{index}]", entry
                break
        else:
            return path
    return path


def _first_odd(value: Any) -> bool:
    return any(
        _first_odd(item) if isinstance(item, list | tuple) else not is_real(item) for item in value
    )


def _ragged(value: Any) -> str:
    lengths = [len(row) if isinstance(row, list | tuple) else 0 for row in value]
    for index, length in enumerate(lengths):
        if length != lengths[0]:
            return f"row {index} has {length} entries where row 0 has {lengths[0]}"
    return "its rows do not have the same length"


def _words(shape: tuple[int, ...]) -> str:
    sizes = ["N >= 1" if size < 0 else str(size) for size in shape]
    return " x ".join(sizes) + (" entries" if len(shape) == 1 else "")
