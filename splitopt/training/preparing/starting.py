"""What training begins from: the weights of a file, and adapters beside them."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from splitopt.errors import InputError, shown
from splitopt.models.adapters.adding import has_adapters, with_adapters
from splitopt.models.adapters.choice import Adapters
from splitopt.models.adapters.ranks import rank_of
from splitopt.profiles import ModelProfile
from splitopt.training.model_parts.weights_file import read_tensors


def begun(
    model: nn.Module,
    profile: ModelProfile,
    adapters: Adapters | None = None,
    weights: str | os.PathLike[str] | None = None,
) -> nn.Module:
    """Return a model with the weights of a file, and with adapters.

    Parameters
    ----------
    model
        The model as it was built or given; it stays as it is.
    profile
        Of the plan. If its model was given adapters, this one is given the same, unless it has
        some.
    adapters
        Others than those of the profile.
    weights
        A safetensors file of the model, without these adapters or with them.

    Raises
    ------
    InputError
        Adapters that do not fit the model, or weights of another one.
    """
    wanted = adapters or recorded(profile)
    if adapters is None and has_adapters(model):
        wanted = None
    stored = None if weights is None else read_tensors(Path(weights))
    if stored is not None and fits(stored, model):
        model, stored = _loaded(model, stored), None
    if wanted is not None:
        model = with_adapters(model, wanted)
    if stored is not None:
        _expect(stored, model, weights)
        model = _loaded(model, stored)
    return model


def expect_chosen(model: nn.Module, profile: ModelProfile, adapters: Adapters | None) -> None:
    """Reject adapters other than those that a plan chose; the profile is at its highest rank.

    Raises
    ------
    InputError
        Adapters are given, or those that the model has are of another rank.
    """
    if adapters is not None:
        raise InputError.at("adapters", "are chosen for each device by the plan; leave them out")
    known, own = profile.adapter_ranks, rank_of(model)
    if known is not None and own not in (None, known.rank):
        raise InputError.at(
            "model",
            f"has adapters of rank {own}, and the highest that the plan chose is {known.rank}; "
            f"build it with add_adapters(..., {known.rank})",
        )


def recorded(profile: ModelProfile) -> Adapters | None:
    """Return the adapters that the model of a profile was given, if it was."""
    return None if profile.trace is None else profile.trace.adapters


def beginning(adapters: Adapters | None, weights: str | os.PathLike[str] | None) -> dict[str, Any]:
    """Return JSON-ready data that names what training begins from, where it is not as usual."""
    found: dict[str, Any] = {} if adapters is None else {"adapters": adapters.to_dict()}
    if weights is not None:
        found["weights"] = hashlib.sha256(Path(weights).read_bytes()).hexdigest()
    return found


def fits(stored: Mapping[str, Tensor], model: nn.Module) -> bool:
    """Report whether tensors have the names and shapes of a model's state."""
    own = model.state_dict()
    return stored.keys() == own.keys() and all(
        value.shape == stored[name].shape for name, value in own.items()
    )


def loaded(model: nn.Module, stored: Mapping[str, Tensor], source: str) -> nn.Module:
    """Return a copy of a model with these weights; raise `InputError` if they are another's."""
    _expect(stored, model, source)
    return _loaded(model, stored)


def _loaded(model: nn.Module, stored: Mapping[str, Tensor]) -> nn.Module:
    own = copy.deepcopy(model)
    own.load_state_dict(dict(stored))
    return own


def _expect(
    stored: Mapping[str, Tensor], model: nn.Module, path: str | os.PathLike[str] | None
) -> None:
    """Reject weights of another model, by the first name or shape that differs."""
    if fits(stored, model):
        return
    own = model.state_dict()
    for name in (*own, *stored):
        if name not in stored:
            what = f"{shown(name)} is missing"
        elif name not in own:
            what = f"{shown(name)} is unknown"
        elif own[name].shape != stored[name].shape:
            there, here = tuple(stored[name].shape), tuple(own[name].shape)
            what = f"{shown(name)} has the shape {there} and not {here}"
        else:
            continue
        raise InputError(f"{path}: the weights are of another model: {what}")
