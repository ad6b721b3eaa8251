"""Reading and writing files safely: strict JSON in, atomic writes out."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from splitopt.errors import InputError


def read_text(path: str | Path) -> str:
    """Read a UTF-8 text file; raise `InputError` in one sentence when that is not possible."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, not a file") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8 text") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({_reason(error)})") from None


def parse_json(text: str, source: str) -> Any:
    """Parse strict JSON: NaN, Infinity and repeated keys are refused."""

    def constant(name: str) -> NoReturn:
        raise InputError(f"{source}: {name} is not a number that JSON allows; use a finite number")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise InputError(f"{source}: the key {twice!r} stands twice in one object")
        return found

    try:
        return json.loads(text, parse_constant=constant, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{source}: is not JSON (line {error.lineno}, column {error.colno}: {error.msg})"
        ) from None
    except RecursionError:
        raise InputError(f"{source}: is nested too deeply") from None
    except InputError:
        raise
    except ValueError as error:  # such as an integer of more digits than Python converts
        raise InputError(f"{source}: holds a number that cannot be read ({error})") from None


def expect_format(document: Any, source: str, name: str, version: int) -> Mapping[str, Any]:
    """Check the ``format`` and ``version`` of a document and return it as a mapping."""
    if not isinstance(document, Mapping):
        raise InputError(f"{source}: must be an object with the keys 'format' and 'version'")
    if document.get("format") != name:
        found = document.get("format")
        raise InputError(f"{source}: format is {found!r}, expected {name!r}")
    found = document.get("version")
    if isinstance(found, bool) or found != version:
        raise InputError(
            f"{source}: version is {found!r}, this release of splitopt reads version {version}"
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
