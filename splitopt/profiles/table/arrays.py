"""Read-only columns of numbers and of truth values, one entry per cut or per layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from splitopt.documents.checks import is_real
from splitopt.errors import InputError, shown

Array: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]


def frozen_array(value: Any, field: str, length: int) -> Array:
    """Copy `length` finite numbers >= 0 into a read-only float64 array.

    Parameters
    ----------
    value
        A sequence or array of numbers, one per cut or per layer.
    field
        The name that an error message starts with.
    length
        The number of entries that `value` must have.

    Raises
    ------
    InputError
        Not a flat list of numbers, another length, or an entry that is negative or not finite.
    """
    array = np.array(_numbers(value, field), dtype=np.float64)
    if array.shape != (length,):
        found = f"{array.size} numbers" if array.ndim == 1 else f"the shape {array.shape}"
        raise InputError.at(field, f"has {found}, but there are {length} layers; give one each")
    wrong = np.flatnonzero(~(np.isfinite(array) & (array >= 0)))
    if wrong.size:
        at = int(wrong[0])
        raise InputError.at(
            field, f"entry {at + 1} is {array[at]}; give a finite number that is 0 or more"
        )
    array.flags.writeable = False
    return array


def frozen_mask(value: Any, field: str) -> Mask:
    """Copy a list or array of booleans into a read-only array of shape ``(L,)``."""
    items = value.tolist() if isinstance(value, np.ndarray) else value
    if isinstance(items, str) or not isinstance(items, Sequence):
        raise InputError.at(field, f"must be a list of booleans, found {shown(value)}")
    for index, item in enumerate(items):
        if not isinstance(item, bool | np.bool_):
            raise InputError.at(field, f"entry {index + 1} is {shown(item)}; give true or false")
    array = np.array(items, dtype=np.bool_)
    array.flags.writeable = False
    return array


def _numbers(value: Any, field: str) -> Any:
    """Reject what NumPy would convert silently: booleans, texts of digits, complex numbers."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "iuf":
            raise InputError.at(field, f"must hold numbers, found the dtype {value.dtype}")
        return value
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
        raise InputError.at(field, f"must be a list of numbers, found {shown(value)}")
    for index, item in enumerate(value):
        if not is_real(item):
            raise InputError.at(field, f"entry {index + 1} is {shown(item)}, which is not a number")
    try:
        return [float(item) for item in value]
    except (OverflowError, TypeError):
        raise InputError.at(field, "holds a number that is too large or complex") from None
