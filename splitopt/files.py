"""Reading and writing files safely: strict JSON in, atomic writes out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from splitopt import outputs
from splitopt.errors import InputError, SplitoptError, shown
from splitopt.kinds import kind_of_text, wrong_kind
from splitopt.outputs import cannot_write
from splitopt.reading import read_bytes as read_bytes
from splitopt.reading import read_text as read_text
from splitopt.temporary import temporary_file

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


def expect_format(document: Any, source: str, name: str, version: int) -> Mapping[str, Any]:
    """Check the ``format`` and ``version`` of a document and return it as a mapping."""
    if not isinstance(document, Mapping):
        raise InputError(f"{source}: must be an object with the keys 'format' and 'version'")
    if document.get("format") != name:
        raise InputError(f"{source}: {wrong_kind(document, name)}")
    found = document.get("version")
    if type(found) is not int or found != version:
        raise InputError(
            f"{source}: version is {shown(found)}, this release of splitopt reads version {version}"
        )
    return document


def check_writable(path: str | Path) -> None:
    """Raise an error if `path` cannot be written, before any work is done.

    Raises
    ------
    InputError
        It is a folder, stands in none, or may not be written.
    WriteError
        The disk is full or broken.
    """
    try:
        _check_writable(path)
    except (OSError, ValueError) as error:
        if isinstance(error, SplitoptError):
            raise
        raise cannot_write(path, error) from None


def _check_writable(path: str | Path) -> None:
    target = Path(path)
    place = outputs.place_of(target)
    if target.is_dir():
        raise InputError(f"{path}: cannot be written, it is a folder")
    if outputs.is_stream(target):
        outputs.check_stream(target)
        return
    if not place.parent.is_dir():
        raise InputError(
            f"{path}: cannot be written, the folder {str(place.parent)!r} does not exist"
        )
    with temporary_file(place.parent):
        pass


def write_atomic(path: str | Path, content: str | bytes) -> None:
    """Write a file so that a crash leaves either the old content or the new, never a part.

    When this returns, the content is on the disk and not only on its way there. A link stays a link
    to what is written. Devices and pipes, such as ``/dev/stdout``, are written into: they cannot be
    replaced. A named pipe must have a reader within `outputs.READER_S` seconds.

    Raises
    ------
    InputError
        It is a folder, stands in none, or may not be written.
    WriteError
        The disk is full or broken, or nobody reads from the pipe.
    """
    # What is no character at all (half a pair from JSON) must not lose the rest.
    data = content.encode(errors="replace") if isinstance(content, str) else content
    try:
        _check_writable(path)
        target = outputs.place_of(Path(path))
        if outputs.is_stream(Path(path)):
            outputs.write_into(path, data)
            return
        with temporary_file(target.parent) as made:
            made.stream.write(data)
            made.become(target, outputs.mode_for(target))
    except (OSError, ValueError) as error:
        if isinstance(error, SplitoptError):
            raise
        raise cannot_write(path, error) from None


def write_rows(path: str | Path, document: Any, table: Callable[[], str]) -> None:
    """Write what has rows as JSON, or as the CSV that `table` gives when the path ends so."""
    is_csv = Path(path).suffix == ".csv"
    write_atomic(path, table() if is_csv else json.dumps(document, allow_nan=False) + "\n")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
