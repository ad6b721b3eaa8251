"""Weights in safetensors files."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from torch import Tensor

from splitopt.documents.reading import read_bytes
from splitopt.errors import CapabilityError, InputError, shown


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return all tensors of a safetensors file, by name.

    Raises
    ------
    CapabilityError
        safetensors is not installed.
    InputError
        It cannot be read, or is no safetensors file.
    """
    need_safetensors("reading weights")
    from safetensors import SafetensorError
    from safetensors.torch import load as load_bytes
    from safetensors.torch import load_file

    try:
        if os.path.isfile(path):
            return dict(load_file(path))
        return dict(load_bytes(read_bytes(path)))  # a pipe, or what cannot be read
    except InputError:
        raise
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: is no readable safetensors file ({shown(str(error))})") from None


def need_safetensors(purpose: str) -> None:
    """Raise `CapabilityError` that says how to install safetensors, if it is absent."""
    if importlib.util.find_spec("safetensors") is None:
        raise CapabilityError(
            f"{purpose} needs safetensors, which is not installed; install it with: "
            "pip install 'splitopt[train]'"
        )
