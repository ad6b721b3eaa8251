"""Checks that the readers of profile documents share: keys, texts and arrays of numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from splitopt.documents.checks import as_float, is_real
from splitopt.documents.names import clean_name, clean_note
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


def expect_keys(
    document: Any, source: str, required: Sequence[str], optional: Sequence[str] = ()
) -> Mapping[str, Any]:
    """Return `document` as a mapping that has all `required` keys and no unknown one."""
    if not isinstance(document, Mapping):
        raise InputError.at(source, f"must be an object with the keys {', '.join(required)}")
    if missing := [key for key in required if key not in document]:
        raise InputError.at(source, f"lacks {', '.join(map(repr, missing))}")
    known = [*required, *optional]
    if unknown := [str(key) for key in document if key not in known]:
        raise InputError.at(
            source, f"has the unknown key {shown(unknown[0])}; the keys are {', '.join(known)}"
        )
    return document


def expect_mapping(value: Any, field: str) -> Mapping[str, Any]:
    """Return `value` if it is an object, whatever its keys."""
    if not isinstance(value, Mapping):
        raise InputError.at(field, f"must be an object of names and values, found {shown(value)}")
    return value


def expect_text(value: Any, field: str) -> str:
    """Return `value` if it is a text that is not blank."""
    if not isinstance(value, str) or not value.strip():
        raise InputError.at(field, f"must be a text that is not empty, found {shown(value)}")
    return clean_note(value, field)


def expect_number(value: Any, field: str, least: float = -math.inf) -> float:
    """Return `value` as a float if it is a finite number of at least `least`, and no boolean."""
    if not is_real(value):
        raise InputError.at(field, f"is {shown(value)}, which is not a number")
    found = as_float(value)
    if not math.isfinite(found) or found < least:
        wanted = "a finite number" if least == -math.inf else f"a finite number >= {least:g}"
        raise InputError.at(field, f"is {shown(value)}; give {wanted}")
    return found


def expect_name(value: Any, field: str) -> str:
    """Return `value` if it is a text of one line that is not blank."""
    return clean_name(expect_text(value, field), field)


def expect_texts(value: Any, field: str) -> tuple[str, ...]:
    """Return a list of texts as a tuple."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InputError.at(field, f"must be a list of texts, found {shown(value)}")
    return tuple(expect_text(item, f"{field}[{index}]") for index, item in enumerate(value))


def expect_names(value: Any, field: str) -> tuple[str, ...]:
    """Return a list of texts of one line as a tuple."""
    texts = expect_texts(value, field)
    return tuple(expect_name(text, f"{field}[{index}]") for index, text in enumerate(texts))


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
