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
        With the same names and shapes. Of adapters of unequal rank, of which smaller ones have the
        first rows or columns of larger ones, every number is averaged over those who have it.
    weights
        One number >= 0 for each, such as the numbers of samples; only their ratios count.

    Returns
    -------
    New tensors, of the largest shape that is there. Whole numbers, such as counts of batches, come
    from the state of most weight.

    Notes
    -----
    Unequal shapes: HeteroFL, Diao et al. 2021, arXiv:2010.02264, whose smaller models are the
    leading blocks of larger ones. With equal shapes it is FedAvg.
    """
    total = sum(weights)
    heaviest = max(range(len(states)), key=lambda i: weights[i])
    found: dict[str, Tensor] = {}
    for name, first in states[0].items():
        if not first.is_floating_point():
            found[name] = states[heaviest][name].clone()
            continue
        if any(state[name].shape != first.shape for state in states):
            found[name] = _over_holders([state[name] for state in states], weights)
            continue
        mean = torch.zeros_like(first)
        for state, weight in zip(states, weights, strict=True):
            mean += (weight / total) * state[name]
        found[name] = mean
    return found


def _over_holders(values: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Average tensors of unequal shapes, each number over the tensors that reach as far."""
    shape = [max(sides) for sides in zip(*(value.shape for value in values), strict=True)]
    mean, total = values[0].new_zeros(shape), values[0].new_zeros(shape)
    for value, weight in zip(values, weights, strict=True):
        block = _block(value.shape)
        mean[block] += weight * value
        total[block] += weight
    return mean / total


def leading(state: State, like: State) -> dict[str, Tensor]:
    """Return entries cut down to the shapes that entries of the same names have elsewhere."""
    return {name: value[_block(like[name].shape)] for name, value in state.items()}


def _block(shape: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(side) for side in shape)


def copy_state(model: nn.Module) -> dict[str, Tensor]:
    """Copy the parameters and buffers of a model."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def load_state(model: nn.Module, state: State) -> None:
    """Write entries into a model in place, so that all that share its tensors see them."""
    own = model.state_dict()
    with torch.no_grad():
        for name, value in state.items():
            own[name].copy_(value)


def load_leading(model: nn.Module, state: State) -> None:
    """Write entries into the leading blocks of a model's, which may be larger."""
    own = model.state_dict()
    with torch.no_grad():
        for name, value in state.items():
            whole = own[name]
            (whole if whole.shape == value.shape else whole[_block(value.shape)]).copy_(value)


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
