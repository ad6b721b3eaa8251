"""Installed packages: their versions, and those of an extra, missed in one sentence."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from typing import Any

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


def data_frame(rows: Any, columns: Sequence[str] | None = None) -> Any:
    """Return rows (mappings, or a table of CSV as text) as a ``pandas.DataFrame``.

    Raises
    ------
    CapabilityError
        pandas is not installed.
    """
    if importlib.util.find_spec("pandas") is None:
        raise CapabilityError(
            "a frame needs pandas, which is not installed; install it with: "
            "pip install 'splitopt[frames]'"
        )
    import pandas as pd

    if isinstance(rows, str):
        return pd.read_csv(io.StringIO(rows))
    return pd.json_normalize(list(rows)) if columns is None else pd.DataFrame(rows, columns=columns)


def need_matplotlib(purpose: str) -> None:
    """Raise `CapabilityError` that says how to install Matplotlib, if it is absent.

    `purpose` is what needs it, as the start of a sentence.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise CapabilityError(
            f"{purpose} needs Matplotlib, which is not installed; install it with: "
            "pip install matplotlib"
        )


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
