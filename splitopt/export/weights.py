"""Weights that go with an export: read from safetensors, checked against the model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from splitopt.errors import CapabilityError, InputError, shown
from splitopt.training.model_parts.weights_file import need_safetensors as need_safetensors
from splitopt.training.model_parts.weights_file import read_tensors


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Return all parameters and buffers of a module by their names, each tensor once."""
    return dict((*module.named_parameters(), *module.named_buffers()))


def notes_on_tensors(module: nn.Module) -> dict[str, Any]:
    """Return what the names and shapes of a module's tensors do not say, as JSON-ready data.

    ``tied``: further names in its state dict -> the name of the same tensor; ``not_saved``: buffers
    that are not in its state dict; ``not_finite``: tensors with an infinity or NaN, such as masks.
    """
    own = tensors_of(module)
    names = {id(tensor): name for name, tensor in own.items()}
    state = module.state_dict(keep_vars=True)
    return {
        "tied": {
            name: names[id(tensor)]
            for name, tensor in state.items()
            if name not in own and id(tensor) in names
        },
        "not_saved": [name for name in own if name not in state],
        "not_finite": [name for name, tensor in own.items() if not is_finite(tensor)],
    }


def is_finite(tensor: Tensor) -> bool:
    """Whether a tensor has no NaN and no infinity, as far as it has numbers."""
    if tensor.is_meta or not (tensor.is_floating_point() or tensor.is_complex()):
        return True
    return bool(tensor.isfinite().all())


def read_weights(path: str | Path, module: nn.Module) -> dict[str, Tensor]:
    """Read the tensors of a module's state from a safetensors file, or from a checkpoint's folder.

    Raises
    ------
    CapabilityError
        safetensors is not installed.
    InputError
        The file cannot be read, or it has not the module's names and shapes.
    """
    need_safetensors("reading weights")
    found, expected = stored_tensors(Path(path)), module.state_dict()
    missing = [name for name in expected if name not in found]
    further = [name for name in found if name not in expected]
    if missing or further:
        words = f"{shown(missing[0])} is missing" if missing else f"{shown(further[0])} is unknown"
        raise InputError(f"{path}: the weights are of another model: {words}")
    for name, tensor in expected.items():
        if found[name].shape != tensor.shape:
            raise InputError(
                f"{path}: the weights are of another model: {shown(name)} has the shape "
                f"{tuple(found[name].shape)} and not {tuple(tensor.shape)}"
            )
    return {name: found[name] for name in expected}


def expect_no_noise(path: str | Path) -> None:
    """Raise `CapabilityError` for the checkpoint of a training with a noise layer.

    No export writes one: the scale of the noise is that of a bound which is computed from the
    weights, and its draws are the operating system's. What other software runs has neither.
    """
    if not os.path.isdir(path):
        return
    from splitopt.training.saving.checkpoint import load

    noise = load(path).history.origin.get("pixel_dp")
    if noise:
        raise CapabilityError(
            f"{path}: the model was trained with noise behind {noise['after']}, and an export has "
            "no noise layer, so that what its parts send would not be private; run it with "
            "splitopt, or give the weights as a file of --save-model to export it without noise"
        )


def stored_tensors(path: Path) -> dict[str, Tensor]:
    """Return all tensors of a safetensors file, or the common model's of a checkpoint's folder.

    Raises
    ------
    InputError
        It cannot be read, or is no safetensors file.
    """
    if os.path.isdir(path):
        from splitopt.training.saving.checkpoint import load
        from splitopt.training.schemes.base import under

        return under(load(path).state, "model.")
    return read_tensors(path)
