"""Long arrays in JSON: one text instead of a line for every number.

A packed array is ``{"dtype": "<f8", "length": N, "base64": TEXT}``: the N numbers one after the
other, little-endian, in base64. A packed list of texts is ``{"length": N, "lines": TEXT}``, one a
line. Both are read back exactly.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from splitopt.documents.checks import is_whole
from splitopt.errors import InputError, shown

LONG = 1_000
"""Entries above which an array is packed."""
_TYPES = ("<f8", "<i8", "<i4", "<u2", "|u1")
MOST_ENTRIES = 2**27
"""Entries of a packed array that are read: 1 GiB of floats."""


def pack_if_long(array: Any) -> Any:
    """Return an array (N,) as plain data: a list, or packed where it has more than `LONG` entries.

    Whole numbers take as few bytes as the largest needs.
    """
    if len(array) <= LONG:
        return array.tolist()
    kind = "<f8" if array.dtype.kind == "f" else _narrowest(array)
    data = base64.b64encode(np.ascontiguousarray(array.astype(kind)).tobytes()).decode("ascii")
    return {"dtype": kind, "length": len(array), "base64": data}


def pack_texts(texts: Sequence[str]) -> Any:
    """Return texts without line ends as plain data: a list, or packed where there are many."""
    if len(texts) <= LONG:
        return list(texts)
    return {"length": len(texts), "lines": "\n".join(texts)}


def unpacked(value: Any, source: str) -> Any:
    """Return what `pack_if_long` or `pack_texts` packed, anything else as it is.

    Raises
    ------
    InputError
        It looks packed and is not: an unknown type, another length, or text that is no base64.
    """
    if not isinstance(value, Mapping):
        return value
    length = value.get("length")
    if not is_whole(length, 0) or length > MOST_ENTRIES:
        raise InputError.at(
            f"{source}.length", f"is {shown(length)}; give a whole number up to {MOST_ENTRIES}"
        )
    if set(value) == {"length", "lines"} and isinstance(value["lines"], str):
        found = value["lines"].split("\n") if length else []
        if len(found) != length:
            raise InputError.at(f"{source}.lines", f"has {len(found)} lines, length is {length}")
        return found
    if set(value) != {"dtype", "length", "base64"} or not isinstance(value["base64"], str):
        raise InputError.at(
            source, "must be a list, or a packed array with 'dtype', 'length' and 'base64'"
        )
    return _array(value["dtype"], length, value["base64"], source)


def _array(kind: Any, length: int, text: str, source: str) -> Any:
    if kind not in _TYPES:
        raise InputError.at(
            f"{source}.dtype", f"is {shown(kind)}; known are {', '.join(map(repr, _TYPES))}"
        )
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InputError.at(f"{source}.base64", "is no base64") from None
    size = length * np.dtype(kind).itemsize
    if len(data) != size:
        raise InputError.at(
            f"{source}.base64", f"holds {len(data)} bytes, {length} entries of {kind} are {size}"
        )
    array = np.frombuffer(data, dtype=kind)
    return array.astype(np.float64 if kind == "<f8" else np.int64)


def _narrowest(array: Any) -> str:
    low, high = int(array.min()), int(array.max())
    for kind in ("|u1", "<u2", "<i4"):
        limits = np.iinfo(kind)
        if limits.min <= low and high <= limits.max:
            return kind
    return "<i8"
