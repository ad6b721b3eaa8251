"""Strict JSON: finite numbers, no key twice, and a document's format and version."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from splitopt.documents.kinds import kind_of_text, wrong_kind
from splitopt.documents.reading import read_text
from splitopt.errors import InputError, shown

_SURE_DIGITS = 300
"""A whole number of so many digits is within the range of floats."""


def parse_json(text: str, source: str) -> Any:
    """Parse strict JSON: only finite numbers within the range of floats, and no key twice."""

    def constant(name: str) -> NoReturn:
        raise InputError(f"{source}: {name} is not a number that JSON allows; use a finite number")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise InputError(f"{source}: the key {_first_twice(pairs)} stands twice in one object")
        return found

    def fraction(digits: str) -> float:
        value = float(digits)
        if math.isinf(value):
            raise _beyond(digits, source)
        return value

    def whole(digits: str) -> int:
        if len(digits) > _SURE_DIGITS and (len(digits) > 400 or math.isinf(float(digits))):
            raise _beyond(digits, source)
        return int(digits)

    try:
        return json.loads(
            text,
            parse_constant=constant,
            parse_float=fraction,
            parse_int=whole,
            object_pairs_hook=unique,
        )
    except json.JSONDecodeError as error:
        raise InputError(
            f"{source}: is not JSON (line {error.lineno}, column {error.colno}: {error.msg})"
            f"{kind_of_text(text)}"
        ) from None
    except RecursionError:
        raise InputError(f"{source}: is nested too deeply") from None
    except MemoryError:
        raise InputError(f"{source}: does not fit into the memory") from None


def read_json(path: str | Path) -> Any:
    """Read a file of strict JSON, see `parse_json`; raise `InputError` where it is none."""
    return parse_json(read_text(path), str(path))


def _first_twice(pairs: list[tuple[str, Any]]) -> str:
    seen = set()
    for key, _ in pairs:
        if key in seen:
            return shown(key)
        seen.add(key)
    raise AssertionError("no key stands twice")


def _beyond(digits: str, source: str) -> InputError:
    return InputError(
        f"{source}: the number {shown(digits, 60)} is beyond all floating-point numbers"
    )


def expect_format(document: Any, source: str, name: str, *versions: int) -> Mapping[str, Any]:
    """Check the ``format`` and ``version`` of a document and return it as a mapping."""
    if not isinstance(document, Mapping):
        raise InputError(f"{source}: must be an object with the keys 'format' and 'version'")
    if document.get("format") != name:
        raise InputError(f"{source}: {wrong_kind(document, name)}")
    found = document.get("version")
    if type(found) is not int or found not in versions:
        known = " or ".join(str(version) for version in versions)
        newer = type(found) is int and found > max(versions)
        raise InputError(
            f"{source}: version is {shown(found)}, this release of splitopt reads version {known}"
            f"{'; a newer release wrote it: install that one' if newer else ''}"
        )
    return document
