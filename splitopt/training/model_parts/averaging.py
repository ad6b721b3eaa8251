"""Weighted averages of the states of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

State = Mapping[str, Tensor]

STATISTICS = (nn.modules.batchnorm._NormBase,)
"""Layers with running statistics: batch normalisation, and instance normalisation that tracks."""


def average(states: Sequence[State], weights: Sequence[float]) -> dict[str, Tensor]:
    """Average states entry by entry (FedAvg, McMahan et al. 2017, Algorithm 1).

    Parameters
    ----------
    states
        With the same names and shapes.
    weights
        One number >= 0 for each, such as the numbers of samples; only their ratios count.

    Returns
    -------
    New tensors. Whole numbers, such as counts of batches, come from the state of most weight.
    """
    total = sum(weights)
    heaviest = max(range(len(states)), key=lambda i: weights[i])
    found: dict[str, Tensor] = {}
    for name, first in states[0].items():
        if not first.is_floating_point():
            found[name] = states[heaviest][name].clone()
            continue
        mean = torch.zeros_like(first)
        for state, weight in zip(states, weights, strict=True):
            mean += (weight / total) * state[name]
        found[name] = mean
    return found


def copy_state(model: nn.Module) -> dict[str, Tensor]:
    """Copy the parameters and buffers of a model."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def load_state(model: nn.Module, state: State) -> None:
    """Write entries into a model in place, so that all that share its tensors see them."""
    own = model.state_dict()
    with torch.no_grad():
        for name, value in state.items():
            own[name].copy_(value)


def state_bytes(state: State) -> bytes:
    """Return entries as the content of a safetensors file."""
    from safetensors.torch import save

    # Tied tensors share storage, which the format does not have.
    return save({name: value.detach().cpu().contiguous().clone() for name, value in state.items()})


def statistics_of(model: nn.Module) -> list[str]:
    """Names of the running statistics of normalisations."""
    return [
        f"{prefix}.{name}" if prefix else name
        for prefix, module in model.named_modules()
        if isinstance(module, STATISTICS)
        for name, _ in module.named_buffers(recurse=False)
    ]
