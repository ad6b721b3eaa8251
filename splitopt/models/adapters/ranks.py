"""The rank of a model's adapters, and models whose adapters have another one."""

from __future__ import annotations

import copy

import torch
from torch import nn

from splitopt.models.adapters.lora import LoraLinear
from splitopt.models.adapters.quantised import blank


def rank_of(model: nn.Module) -> int | None:
    """Return the rank of all adapters of a model, None where it has none or they differ."""
    ranks = {part.lora_A.out_features for part in _adapters(model)}
    return ranks.pop() if len(ranks) == 1 else None


def most_rank(model: nn.Module) -> int:
    """Return the highest rank that every adapter of a model can have."""
    return min(min(p.lora_A.in_features, p.lora_B.out_features) for p in _adapters(model))


def set_rank(model: nn.Module, rank: int) -> None:
    """Set the rank of all adapters of a model, in place.

    The first rows of A and columns of B stay, as many as there are; further ones are 0.
    """
    for part in _adapters(model):
        if part.lora_A.out_features == rank:
            continue
        old_a, old_b = part.lora_A.weight, part.lora_B.weight
        part.lora_A = _blank_like(part.lora_A, part.lora_A.in_features, rank)
        part.lora_B = _blank_like(part.lora_B, rank, part.lora_B.out_features)
        if old_a.device.type == "meta":
            continue
        kept = min(rank, old_a.shape[0])
        with torch.no_grad():
            part.lora_A.weight.zero_()[:kept].copy_(old_a[:kept])
            part.lora_B.weight.zero_()[:, :kept].copy_(old_b[:, :kept])


def with_rank(model: nn.Module, rank: int) -> nn.Module:
    """Return a copy of a model with adapters of another rank, see `set_rank`.

    Its frozen weights are those of the model, not copies.
    """
    shared = {id(p): p for p in model.parameters() if not p.requires_grad}
    own = copy.deepcopy(model, shared)
    set_rank(own, rank)
    return own


def _adapters(model: nn.Module) -> list[LoraLinear]:
    return [part for part in model.modules() if isinstance(part, LoraLinear)]


def _blank_like(layer: nn.Linear, inputs: int, outputs: int) -> nn.Linear:
    made = blank(inputs, outputs, layer.weight)
    made.requires_grad_(layer.weight.requires_grad)
    return made.train(layer.training)
