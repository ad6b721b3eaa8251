"""Weights that go with an export: read from safetensors, checked against the model."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from torch import Tensor, nn

from splitopt.errors import CapabilityError, InputError

CHECKPOINT = "model."
"""What the names of the model's tensors begin with in a checkpoint of a training run."""


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Give all parameters and buffers of a module by their names, each tensor once."""
    return dict((*module.named_parameters(), *module.named_buffers()))


def read_weights(path: str | Path, module: nn.Module) -> dict[str, Tensor]:
    """Read the tensors of a module's state from a safetensors file or a checkpoint's.

    Raises
    ------
    CapabilityError
        safetensors is not installed.
    InputError
        The file cannot be read, or it has not the module's names and shapes.
    """
    need_safetensors("reading weights")
    from safetensors import SafetensorError, safe_open

    expected = module.state_dict()
    if not Path(path).is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        with safe_open(path, framework="pt") as stored:
            names = set(stored.keys())
            prefix = "" if names & set(expected) else CHECKPOINT
            further = {name for name in names if not prefix} - set(expected)
            missing = [name for name in expected if prefix + name not in names]
            if missing or further:
                words = f"{missing[0]!r} is missing" if missing else f"{min(further)!r} is unknown"
                raise InputError(f"{path}: the weights are of another model: {words}")
            found = {name: stored.get_tensor(prefix + name) for name in expected}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: is no readable safetensors file ({error})") from None
    for name, tensor in found.items():
        if tensor.shape != expected[name].shape:
            raise InputError(
                f"{path}: the weights are of another model: {name!r} has the shape "
                f"{tuple(tensor.shape)} and not {tuple(expected[name].shape)}"
            )
    return found


def safetensors_bytes(weights: dict[str, Tensor]) -> bytes:
    """Give the content of a safetensors file."""
    need_safetensors("writing weights")
    from safetensors.torch import save

    # Tied tensors share storage, which the format does not have.
    return save(
        {name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}
    )


def need_safetensors(purpose: str) -> None:
    """Raise `CapabilityError` that says how to install safetensors, if it is absent."""
    if importlib.util.find_spec("safetensors") is None:
        raise CapabilityError(
            f"{purpose} needs safetensors, which is not installed; install it with: "
            "pip install 'splitopt[train]'"
        )
