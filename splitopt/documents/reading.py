"""Reading files: whatever a path leads to ends as bytes, as text, or as one sentence.

A size is asked before anything is read. What has none (a device, a pipe) is read up to the limit.
"""

from __future__ import annotations

import io
import itertools
import os
import stat
import time
from pathlib import Path
from typing import BinaryIO

from splitopt.errors import InputError, shown

MOST_TEXT = 2**28
"""Bytes of a text file: far above every scenario, plan and table, and parsed in seconds."""
MOST_BYTES = 2**30
"""Bytes of any other file, unless the reader knows better."""
PATIENCE_S = 3.0
"""Seconds in which a writer has to open the other end of a pipe."""
_CHUNK = 2**20
_MOST_BESIDE = 2000
"""Files of a folder among which one of nearly the same name is looked for."""
_ALIKE = 0.8
"""Likeness of two names of files, of at most 1, from which one is proposed for the other."""
_MARKS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


def read_text(path: str | Path, most: int = MOST_TEXT) -> str:
    """Read a UTF-8 text file, with or without a byte-order mark; line ends become newlines.

    Parameters
    ----------
    path
        The file, or a device or pipe such as ``/dev/stdin`` and ``<(command)``.
    most
        How many bytes it may have.

    Raises
    ------
    InputError
        It cannot be read, is larger, or is no UTF-8 text.
    """
    return decoded(read_bytes(path, most), str(path))


def decoded(data: bytes, source: str) -> str:
    """Return the text of UTF-8 bytes without its byte-order mark; name other encodings."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            raise InputError(f"{source}: is {name} text; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found = f"byte {data[error.start]:#04x} in line {line}"
        raise InputError(f"{source}: is not UTF-8 text ({found}); save it as UTF-8") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{source}: is not text (a NUL character in line {line})")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_bytes(path: str | Path, most: int = MOST_BYTES) -> bytes:
    """Read a whole file of at most `most` bytes.

    A pipe is waited for as long as something has it open for writing, and `PATIENCE_S` before.

    Raises
    ------
    InputError
        There is no such file, it cannot be read, or it is larger.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return _read(handle, path, most)
        finally:
            os.close(handle)
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{path}: does not fit into the memory") from None
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None


def opened(path: str | Path, most: int = MOST_BYTES) -> BinaryIO:
    """Open a file to read it in any order; a device or a pipe is read whole first.

    Parameters
    ----------
    path
        The file.
    most
        How many bytes a device or pipe may give. A file's size is left to the caller.

    Raises
    ------
    InputError
        As for `read_bytes`.
    """
    try:
        if not Path(path).is_file():
            return io.BytesIO(read_bytes(path, most))
        return open(path, "rb")
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None


def unreadable(path: str | Path, error: Exception) -> InputError:
    """Return the error that says why a file cannot be read."""
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path}: there is no such file{_near_file(path)}")
    if isinstance(error, IsADirectoryError):
        return InputError(f"{path}: is a folder, not a file")
    if "\0" in str(path):
        return InputError(f"{shown(str(path))}: is no path, it holds a NUL character")
    return InputError(f"{path}: cannot be read ({reason(error)})")


def _near_file(path: str | Path) -> str:
    """Return ``"; did you mean 'fleet.yaml'?"`` for a file beside it of nearly that name."""
    from difflib import get_close_matches

    place = Path(path)
    try:
        with os.scandir(place.parent) as entries:
            names = [entry.name for entry in itertools.islice(entries, _MOST_BESIDE)]
    except (OSError, ValueError):
        return ""
    alike = [name for name in names if Path(name).stem == place.stem and name != place.name]
    near = sorted(alike) or get_close_matches(place.name, names, 1, _ALIKE)
    return f"; did you mean {shown(str(place.with_name(near[0])))}?" if near else ""


def reason(error: Exception) -> str:
    """Return what the system says about an error, without its number and path."""
    return getattr(error, "strerror", None) or str(error)


def limit_of_size(path: str | Path, most: int) -> InputError:
    """Return the error for a file of more than `most` bytes."""
    limit = f"{most / 2**20:.0f} MiB" if most >= 2**20 else f"{most} bytes"
    return InputError(f"{path}: is larger than {limit}, the most that is read of such a file")


def _read(handle: int, path: str | Path, most: int) -> bytes:
    status = os.fstat(handle)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError
    if stat.S_ISREG(status.st_mode) and status.st_size > most:
        raise limit_of_size(path, most)
    data = bytearray()
    if stat.S_ISFIFO(status.st_mode):
        data += _first_of_pipe(handle, path)
    os.set_blocking(handle, True)
    while chunk := os.read(handle, _CHUNK):
        data += chunk
        if len(data) > most:
            raise limit_of_size(path, most)
    return bytes(data)


def _first_of_pipe(handle: int, path: str | Path) -> bytes:
    """Return what is first read of a pipe, or nothing when a writer is there but still works."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            if data := os.read(handle, _CHUNK):
                return data
        except BlockingIOError:  # a writer is there and has not written yet
            return b""
        if time.monotonic() > end:
            raise InputError(f"{path}: is a pipe into which nothing writes")
        time.sleep(0.02)
