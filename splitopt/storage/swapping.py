"""Exchanging two files or folders in one step, where the system can."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

_AT_FDCWD = -100
_LINUX_EXCHANGE = 2
_MACOS_SWAP = 2
_CANNOT = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})


def exchange(one: Path, other: Path) -> bool:
    """Exchange what stands under two names of one file system, in one step.

    Returns
    -------
    False where the system or the file system cannot, and nothing was done.

    Raises
    ------
    OSError
        It can, and did not.
    """
    names = os.fsencode(one), os.fsencode(other)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "linux":
            code = library.renameat2(
                _AT_FDCWD, names[0], _AT_FDCWD, names[1], ctypes.c_uint(_LINUX_EXCHANGE)
            )
        elif sys.platform == "darwin":
            code = library.renamex_np(*names, ctypes.c_uint(_MACOS_SWAP))
        else:
            return False
    except (AttributeError, OSError, TypeError):  # an older C library, or none to open by no name
        return False
    if code == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(one), None, str(other))
