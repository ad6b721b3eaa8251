"""Checks of the fields of a document that no schema reads: keys, texts and numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from splitopt.documents.checks import as_float, is_real
from splitopt.documents.names import clean_name, clean_note
from splitopt.errors import InputError, shown


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
