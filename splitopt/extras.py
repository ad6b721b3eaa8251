"""Installed packages: their versions, and those of an extra, missed in one sentence."""

from __future__ import annotations

import importlib.util
from functools import cache
from importlib import metadata

from splitopt.errors import CapabilityError
from splitopt.storage.outputs import working_folder_is_gone


@cache
def installed_version(package: str) -> str:
    """Return the version of an installed distribution, "unknown" if there is none.

    It is read once in a process: that takes longer than a small problem is solved in.
    """
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def need_torch(purpose: str) -> None:
    """Raise `CapabilityError` that says how to install PyTorch, if it is absent.

    Parameters
    ----------
    purpose
        What needs it, as the start of a sentence, such as ``"tracing a module"``.
    """
    if importlib.util.find_spec("torch") is None:
        raise CapabilityError(
            f"{purpose} needs PyTorch, which is not installed; install it with: "
            "pip install 'splitopt[train]'"
        )
    gone = working_folder_is_gone()
    if gone is not None:  # its libraries would end the process
        raise CapabilityError(f"{purpose} needs a folder to work in: {gone}")
