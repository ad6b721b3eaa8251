"""Temporary files and folders that do not outlive the process that made them.

A process that is killed cannot tidy up, so the next one does. Each file and folder is locked by
whoever made it, and the kernel releases that lock with the process: what can be locked belongs to
nobody any more. Windows cannot lock folders nor rename locked files; nothing is swept there.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from splitopt.storage.locks import NoLocksError, is_at, try_lock

PREFIX = "splitopt-"
"""Names in the temporary folder begin so; beside an output a dot stands before it."""
_SUFFIX = ".tmp"
_OURS = re.compile(r"\.?splitopt-[a-z0-9_]{8}\.tmp")
_CAN_LOCK = sys.platform != "win32"
_SWEPT: set[str] = set()
"""Folders in which this process has looked already."""


class TemporaryFile:
    """An open file that is going to be renamed.

    Parameters
    ----------
    path
        Where it stands meanwhile.
    stream
        To write to.
    """

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self.path, self.stream = path, stream

    def force(self) -> None:
        """Force the content to disk: what does not fit fails here."""
        self.stream.flush()
        os.fsync(self.stream.fileno())

    def become(self, target: Path, mode: int) -> None:
        """Force the content to disk and put the file in the place of `target`, in one step."""
        self.force()
        if not _CAN_LOCK:
            self.stream.close()  # Windows does not rename what is open
        os.chmod(self.path, mode)
        os.replace(self.path, target)
        sync_folder(target.parent)


@contextmanager
def temporary_file(folder: Path) -> Iterator[TemporaryFile]:
    """Make a file in a folder; what did not `become` another one is removed at the end.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    sweep(folder)
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{PREFIX}", suffix=_SUFFIX, dir=folder)
        if _own(handle, name):
            break
        os.close(handle)  # a sweeper was faster than the lock, and removes it
    made = TemporaryFile(Path(name), os.fdopen(handle, "wb"))
    try:
        yield made
    finally:
        with contextlib.suppress(OSError):  # before the stream, which may fail on a full disk
            made.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            made.stream.close()
        if not _CAN_LOCK:
            made.path.unlink(missing_ok=True)


@contextmanager
def temporary_folder(parent: Path | None = None) -> Iterator[Path]:
    """Make a folder for this user alone, and remove it with its content at the end.

    Parameters
    ----------
    parent
        Where; in the system's folder for temporary files by default.

    Raises
    ------
    OSError
        It cannot be made.
    """
    place = Path(tempfile.gettempdir()) if parent is None else parent
    sweep(place)
    prefix = PREFIX if parent is None else f".{PREFIX}"
    while True:
        made = Path(tempfile.mkdtemp(prefix=prefix, suffix=_SUFFIX, dir=place))
        handle = os.open(made, os.O_RDONLY) if _CAN_LOCK else None
        if handle is None or _own(handle, made):
            break
        os.close(handle)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def is_temporary(name: str) -> bool:
    """Whether a name is one of those that this module gives."""
    return _OURS.fullmatch(name) is not None


def sweep(folder: Path) -> None:
    """Remove what killed processes of this user have left in a folder; once for each folder."""
    place = os.path.realpath(folder)
    if place in _SWEPT or not _CAN_LOCK:
        return
    _SWEPT.add(place)
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        left = [Path(entry.path) for entry in entries if is_temporary(entry.name)]
        for path in left:
            with contextlib.suppress(OSError, NoLocksError):
                _remove_if_nobodys(path)


def sync_folder(folder: Path) -> None:
    """Force to disk which files a folder has, where the system can: names are content as well."""
    if not _CAN_LOCK:
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # not every file system has it for folders
            os.fsync(handle)
    finally:
        os.close(handle)


def _own(handle: int, path: str | Path) -> bool:
    """Lock what was just made; False if a sweeper took it for an orphan in between."""
    try:
        return not _CAN_LOCK or (try_lock(handle) and is_at(handle, path))
    except NoLocksError:
        return True  # a sweeper cannot lock it either, and leaves it alone


def _remove_if_nobodys(path: Path) -> None:
    found = path.lstat()
    is_folder = stat.S_ISDIR(found.st_mode)
    if found.st_uid != os.geteuid() or not (is_folder or stat.S_ISREG(found.st_mode)):
        return
    access = os.O_RDONLY | os.O_DIRECTORY if is_folder else os.O_RDWR
    handle = os.open(path, access | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not (try_lock(handle) and is_at(handle, path)):
            return
        if is_folder:
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    finally:
        os.close(handle)
