"""Reading and writing files safely: strict JSON in, atomic writes out."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from splitopt.errors import InputError, shown
from splitopt.kinds import kind_of_text, wrong_kind
from splitopt.reading import read_bytes as read_bytes
from splitopt.reading import read_text as read_text

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
    """Raise `InputError` if `path` cannot be written, before any work is done."""
    target = Path(path)
    folder = Path(os.path.realpath(target)).parent
    if target.is_dir():
        raise InputError(f"{path}: cannot be written, it is a folder")
    if _is_stream(target):
        if not os.access(target, os.W_OK):
            raise InputError(f"{path}: cannot be written (Permission denied)")
        return
    if not folder.is_dir():
        raise InputError(f"{path}: cannot be written, the folder {str(folder)!r} does not exist")
    try:
        handle, probe = tempfile.mkstemp(prefix=".splitopt-", dir=folder)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({_reason(error)})") from None
    os.close(handle)
    os.unlink(probe)


def write_atomic(path: str | Path, content: str | bytes) -> None:
    """Write a file so that a crash leaves either the old content or the new, never a part.

    A link stays a link to what is written. Devices and pipes, such as ``/dev/stdout``, are written
    into: they cannot be replaced.
    """
    data = content.encode() if isinstance(content, str) else content
    check_writable(path)
    if _is_stream(Path(path)):
        try:
            with Path(path).open("ab") as stream:
                stream.write(data)
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({_reason(error)})") from None
        return
    target = Path(os.path.realpath(path))
    handle, name = tempfile.mkstemp(prefix=".splitopt-", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, _mode(target))
        os.replace(name, target)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise InputError(f"{path}: cannot be written ({_reason(error)})") from None
        raise


def write_rows(path: str | Path, document: Any, table: Callable[[], str]) -> None:
    """Write what has rows as JSON, or as the CSV that `table` gives when the path ends so."""
    is_csv = Path(path).suffix == ".csv"
    write_atomic(path, table() if is_csv else json.dumps(document, allow_nan=False) + "\n")


def _is_stream(target: Path) -> bool:
    """Say whether a path is there and no file to replace: a device, a pipe, an open file."""
    is_open = target.parts[:2] in (("/", "dev"), ("/", "proc"))  # /dev/stdout may be any file
    return target.exists() and not target.is_dir() and (is_open or not target.is_file())


def _mode(target: Path) -> int:
    """Permissions of an existing file, else what the process would give a new one."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
