"""Atomic writes: a crash leaves either the old content or the new, never a part."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from splitopt.errors import InputError, SplitoptError
from splitopt.storage import outputs
from splitopt.storage.outputs import cannot_write
from splitopt.storage.temporary import temporary_file


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
    if str(path).startswith("--"):  # the flag behind one whose value was forgotten
        raise InputError(f"{path}: looks like a flag; write ./{path} for a file of that name")
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


def write_json(path: str | Path, document: Any, indent: int | None = None) -> None:
    """Write a document as strict JSON, atomically; raise `InputError` if that is not possible."""
    write_atomic(path, json.dumps(document, indent=indent, allow_nan=False) + "\n")


def write_rows(path: str | Path, document: Any, table: Callable[[], str]) -> None:
    """Write what has rows as JSON, or as the CSV that `table` gives when the path ends so."""
    is_csv = Path(path).suffix == ".csv"
    if is_csv:
        write_atomic(path, table())
    else:
        write_json(path, document)
