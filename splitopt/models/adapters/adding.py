"""Adapters added to any model, merged into its weights, saved and loaded alone."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, shown
from splitopt.models.adapters.choice import Adapters
from splitopt.models.adapters.lora import LoraLinear, insert
from splitopt.models.adapters.quantised import QuantisedLinear


def with_adapters(module: nn.Module, wanted: Adapters) -> nn.Module:
    """Return a frozen copy of a model with adapters; see `splitopt.models.add_adapters`."""
    if has_adapters(module):
        raise InputError.at("adapters", "are there already; take the model without them")
    linear = dict(_linear_layers(module))
    chosen: dict[str, nn.Linear] = {}
    for pattern in wanted.targets:
        chosen |= _matching(module, linear, pattern)
    for name, layer in chosen.items():
        sides = layer.in_features, layer.out_features
        if wanted.rank > min(sides):
            raise InputError.at(
                "adapters",
                f"have the rank {wanted.rank}, and {name} is {sides[0]} x {sides[1]}; choose at "
                f"most {min(sides)}, or other targets",
            )
    held = () if wanted.frozen_bits is None else [name for name in linear if name not in chosen]
    own = copy.deepcopy(module)
    return insert(own, [*chosen], wanted.rank, wanted.scale, wanted.seed, wanted.frozen_bits, held)


def without_adapters(module: nn.Module) -> nn.Module:
    """Return a copy in which every adapter is added to its layer's weight."""
    own = copy.deepcopy(module)
    found = 0
    for name, layer in list(own.named_modules()):
        if isinstance(layer, LoraLinear):
            found += 1
            plain = layer.merged()
        elif isinstance(layer, QuantisedLinear) and not name.endswith(".base"):
            plain = layer.dequantised()
        else:
            continue
        if not name:
            return plain
        path, _, leaf = name.rpartition(".")
        setattr(own.get_submodule(path), leaf, plain.train(layer.training))
    if not found:
        raise InputError.at("model", "has no adapters to merge")
    return own.requires_grad_()


def state_of_adapters(module: nn.Module) -> dict[str, Tensor]:
    """Return copies of the matrices A and B, by their names in the model's state dict."""
    return {name: value.detach().clone() for name, value in _matrices(module)}


def load_adapters(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Write the matrices of adapters into a model that has adapters of the same sizes."""
    own = dict(_matrices(module))
    strange = next((name for name in (*own, *state) if (name in own) != (name in state)), None)
    if strange is not None:
        where = "the model" if strange in own else "the state"
        raise InputError.at("adapters", f"do not fit: {shown(strange)} is in {where} alone")
    for name, value in own.items():
        if value.shape != state[name].shape:
            raise InputError.at(
                "adapters",
                f"do not fit: {name} is {tuple(state[name].shape)} and not {tuple(value.shape)}",
            )
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(state[name])


def has_adapters(module: nn.Module) -> bool:
    """Report whether a model has adapters of ours, or weights in few bits."""
    return any(isinstance(part, LoraLinear | QuantisedLinear) for part in module.modules())


def insertion_of(module: nn.Module, wanted: Adapters) -> dict[str, Any]:
    """Return the arguments of `insert` that give a plain model the adapters of this one."""
    named = dict(module.named_modules())
    adapted = [name for name, part in named.items() if isinstance(part, LoraLinear)]
    held = [
        name
        for name, part in named.items()
        if isinstance(part, QuantisedLinear) and name.removesuffix(".base") not in adapted
    ]
    return {
        "adapted": adapted,
        "rank": wanted.rank,
        "scale": wanted.scale,
        "seed": wanted.seed,
        "bits": wanted.frozen_bits,
        "held": held,
    }


def _matrices(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    for name, part in module.named_modules():
        if isinstance(part, LoraLinear):
            for own in ("lora_A", "lora_B"):
                weight: nn.Parameter = getattr(part, own).weight
                yield f"{name}.{own}.weight".removeprefix("."), weight


def _linear_layers(module: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    """List the layers that can have an adapter: those that are called, with a weight of their own.

    ``nn.MultiheadAttention`` reads the weight of its ``out_proj`` and does not call it.
    """
    uses: dict[int, int] = {}
    for _, parameter in module.named_parameters(remove_duplicate=False):
        uses[id(parameter)] = uses.get(id(parameter), 0) + 1
    for name, part in module.named_modules(remove_duplicate=False):
        if name and why_not(module, name, part, uses) is None:
            assert isinstance(part, nn.Linear)
            yield name, part


def why_not(module: nn.Module, name: str, part: nn.Module, uses: Mapping[int, int]) -> str | None:
    """Return why a layer can have no adapter; None if it can."""
    if not isinstance(part, nn.Linear):
        return f"is of type {type(part).__name__} and no nn.Linear"
    if nn.parameter.is_lazy(part.weight):
        return "learns its size from the first batch; run the model once before"
    if isinstance(module.get_submodule(name.rpartition(".")[0]), nn.MultiheadAttention):
        return "is used by nn.MultiheadAttention without being called"
    if uses.get(id(part.weight), 0) > 1:
        return "shares its weight with another layer"
    return None


def _matching(
    module: nn.Module, linear: Mapping[str, nn.Linear], pattern: str
) -> dict[str, nn.Linear]:
    """Return the layers that a pattern names."""

    def is_meant(name: str) -> bool:
        return fnmatchcase(name, pattern) or fnmatchcase(name, f"*.{pattern}")

    found = {name: layer for name, layer in linear.items() if is_meant(name)}
    if found:
        return found
    uses: dict[int, int] = {}
    for _, parameter in module.named_parameters(remove_duplicate=False):
        uses[id(parameter)] = uses.get(id(parameter), 0) + 1
    named = dict(module.named_modules(remove_duplicate=False))
    for name, part in named.items():
        if name and is_meant(name):
            raise InputError.at(
                "adapter targets",
                f"{shown(pattern)} names {name}, which {why_not(module, name, part, uses)}; name "
                f"linear layers, such as {_some(linear)}",
            )
    known = {*named, *(name.rpartition(".")[2] for name in named)} - {""}
    raise InputError.at(
        "adapter targets",
        f"{shown(pattern)} matches no layer{did_you_mean(pattern, sorted(known)) or ';'} the "
        f"linear layers are {_some(linear)}",
    )


def _some(linear: Mapping[str, nn.Linear], limit: int = 6) -> str:
    names = [*linear]
    listed = ", ".join(names[:limit]) or "none"
    return listed if len(names) <= limit else f"{listed}, ... ({len(names)} in all)"
