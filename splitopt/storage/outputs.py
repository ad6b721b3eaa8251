"""What can be written where, and the error to raise if it cannot."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from pathlib import Path

from splitopt.errors import InputError, SplitoptError, WriteError

READER_S = 30.0
"""For so long a named pipe that is an output may have no reader."""
_BADLY_NAMED = frozenset(
    {
        errno.EACCES,
        errno.EEXIST,
        errno.EINVAL,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    }
)
"""Errors that another name would mend, so the user's; all others are the disk's."""


def cannot_write(
    path: str | Path, error: OSError | ValueError, what: str = "written"
) -> SplitoptError:
    """Return the error to raise for an output: `InputError` if its name is the mistake.

    A full or broken disk is none of the user's input: `WriteError`.
    """
    kind: type[SplitoptError] = WriteError
    if isinstance(error, ValueError) or error.errno in _BADLY_NAMED:
        kind = InputError
    return kind(f"{path}: cannot be {what} ({_reason(error)})")


def working_folder_is_gone() -> str | None:
    """Return a sentence if the folder in which the process works was removed, else None."""
    try:
        os.getcwd()
    except OSError:
        return "the working folder is not there any more"
    return None


def place_of(target: Path) -> Path:
    """Return what is replaced: behind all links, which must lead somewhere."""
    place = Path(os.path.realpath(target))
    if place.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    with contextlib.suppress(FileNotFoundError):
        place.lstat()  # the system knows which names are too long
    return place


def check_stream(target: Path) -> None:
    """Raise an error if what cannot be replaced must not be written into either."""
    if not os.access(target, os.W_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))


def write_into(path: str | Path, data: bytes) -> None:
    """Append to what cannot be replaced."""
    with os.fdopen(_open_stream(path), "wb") as stream:
        stream.write(data)


def _open_stream(path: str | Path) -> int:
    flags = os.O_WRONLY | os.O_APPEND
    if not stat.S_ISFIFO(os.stat(path).st_mode):
        return os.open(path, flags)
    end = time.monotonic() + READER_S
    while True:
        try:
            handle = os.open(path, flags | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:  # it has no reader
                raise
        else:
            os.set_blocking(handle, True)
            return handle
        if time.monotonic() > end:
            raise WriteError(
                f"{path}: is a pipe that nobody has read from for {READER_S:g} s; start its reader"
            )
        time.sleep(0.05)


def is_stream(target: Path) -> bool:
    """Report whether a path is there and no file to replace: a device, a pipe, an open file."""
    is_open = target.parts[:2] in (("/", "dev"), ("/", "proc"))  # /dev/stdout may be any file
    return target.exists() and not target.is_dir() and (is_open or not target.is_file())


def mode_for(target: Path) -> int:
    """Permissions of an existing file, else what the process would give a new one."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError) and (gone := working_folder_is_gone()):
        return gone
    return getattr(error, "strerror", None) or str(error)
