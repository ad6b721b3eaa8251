"""Result files: JSON lines, a row each, appended one by one."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path

from splitopt.bench.rows.row import Row
from splitopt.documents.json_text import parse_json
from splitopt.documents.reading import read_text
from splitopt.storage.outputs import cannot_write
from splitopt.storage.writing import write_atomic


def append_row(path: str | Path, row: Row) -> None:
    """Append a row in one write that is forced to disk, or leave the file as it was.

    Raises
    ------
    InputError
        The file may not be written.
    WriteError
        The disk is full or broken.
    """
    line = (json.dumps(row.to_dict(), allow_nan=False) + "\n").encode()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            _append(handle, line)
        finally:
            os.close(handle)
    except OSError as error:
        raise cannot_write(path, error) from None


def _append(handle: int, line: bytes) -> None:
    size = os.fstat(handle).st_size
    try:
        if os.write(handle, line) != len(line):
            raise OSError(errno.ENOSPC, "not in full, is the disk full?")
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, size)
        raise


def cut_torn_line(path: str | Path) -> None:
    """Remove a last line without its end of line: a run that was cut off while writing."""
    try:
        with open(path, "r+b") as stream:
            content = stream.read()
            stream.truncate(content.rfind(b"\n") + 1)
    except OSError as error:
        raise cannot_write(path, error) from None


def write_rows(path: str | Path, rows: Sequence[Row]) -> None:
    """Write a whole result file, atomically."""
    lines = (json.dumps(row.to_dict(), allow_nan=False) + "\n" for row in rows)
    write_atomic(path, "".join(lines))


def read_rows(path: str | Path) -> list[Row]:
    """Read a result file: JSON lines, one row each.

    A last line without its end of line is a run that was cut off while writing: it is left out.
    """
    lines = read_text(path).split("\n")
    return [
        Row.from_dict(parse_json(line, f"{path}:{number}"), f"{path}:{number}")
        for number, line in enumerate(lines[:-1], start=1)
        if line.strip()
    ]
