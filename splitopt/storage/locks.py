"""Locks on files that the kernel releases: a process that is gone keeps nobody out."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
import warnings
import weakref
from pathlib import Path
from types import TracebackType

from splitopt.errors import InUseError

NAME = ".lock"
"""Of the file in a folder that is in use; its one line says by whom."""
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_MOST_SHOWN = 200
_FAR = 2**30
"""Windows locks bytes: one behind all content, so that the content can still be read."""


class LockWarning(UserWarning):
    """A folder is used without a lock, since its file system has none."""


class NoLocksError(Exception):
    """The file system has no locks."""


if sys.platform == "win32":
    import msvcrt

    def try_lock(handle: int) -> bool:
        """Lock an open file; False where it is locked already."""
        os.lseek(handle, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(handle, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def try_lock(handle: int) -> bool:
        """Lock an open file or folder; False where it is locked already, also by this process.

        The lock ends with the last copy of the handle, so at the latest with the process.

        Raises
        ------
        NoLocksError
            The file system has no locks.
        """
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise NoLocksError from error
        return True


def is_at(handle: int, path: str | Path) -> bool:
    """Whether an open file still stands under a path, and not another one or none."""
    try:
        there = os.stat(path, follow_symlinks=False)
    except OSError:
        return False
    return os.path.samestat(os.fstat(handle), there)


class Lock:
    """The right to write into a folder or a file, for one caller at a time.

    It lasts until `release`, or until the process ends, however it ends.

    Parameters
    ----------
    target
        A folder that is there, which then holds the file of the lock; or a file, which need not be
        there, and has it beside it.

    Attributes
    ----------
    is_held
        False where the file system has no locks, which a `LockWarning` says.

    Raises
    ------
    InUseError
        Another process, or another caller in this one, holds it; the message says who.
    OSError
        The file of the lock cannot be made.
    """

    def __init__(self, target: str | Path) -> None:
        place = Path(target)
        self._target = target
        self._path = place / NAME if place.is_dir() else place.with_name(f".{place.name}{NAME}")
        self._process = os.getpid()
        self._handle = self._take()
        if self._handle is not None:
            _HELD.add(self)
            with contextlib.suppress(OSError):  # a full disk: it is held, without a name
                os.ftruncate(self._handle, 0)
                os.write(self._handle, _who().encode())

    @property
    def is_held(self) -> bool:
        """Whether this lock keeps others out."""
        return self._handle is not None

    def _take(self) -> int | None:
        while True:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | _NO_LINK, 0o666)
            try:
                taken = try_lock(handle)
            except NoLocksError:
                os.close(handle)
                self._path.unlink(missing_ok=True)
                warnings.warn(
                    f"{self._target}: this file system has no locks, so see that no other run "
                    "writes there meanwhile",
                    LockWarning,
                    stacklevel=4,
                )
                return None
            if not taken:
                text = os.read(handle, _MOST_SHOWN).decode(errors="replace").strip()
                os.close(handle)
                raise InUseError(
                    f"{self._target}: is in use by {text or 'another process'}; wait for its end, "
                    "or name another place"
                )
            if is_at(handle, self._path):
                return handle
            os.close(handle)  # who had it before has just removed the file: make a new one

    def release(self) -> None:
        """Allow others to write; a second call does nothing."""
        handle, self._handle = self._handle, None
        _HELD.discard(self)
        if handle is None:
            return
        try:
            if self._process == os.getpid() and is_at(handle, self._path):
                with contextlib.suppress(OSError):  # such as Windows, which keeps what is open
                    self._path.unlink()
        finally:
            os.close(handle)

    def __enter__(self) -> Lock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.release()


_HELD: weakref.WeakSet[Lock] = weakref.WeakSet()


def _who() -> str:
    """Return the line that tells a second run who is at work."""
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    return f"process {os.getpid()} on {socket.gethostname()} since {since}\n"


def _forget() -> None:
    """Close the handles of a process in its fork, which must not hold locks beyond its end."""
    for lock in list(_HELD):
        if lock._handle is not None:
            os.close(lock._handle)
        lock._handle = None
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
