"""How much memory a layer takes while it is trained: the formulas to choose from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splitopt.errors import InputError
from splitopt.profiles.table.arrays import Array
from splitopt.profiles.table.profile import ModelProfile


@dataclass(frozen=True)
class MemoryFormula:
    """What a machine holds of a layer for one owner.

    Parameters
    ----------
    copies
        How many numbers are held for each parameter: itself, its gradient, optimizer state.
    tensors
        The array of the profile that is held for every sample of the batch.
    words
        What is counted, for people.

    Notes
    -----
    Frozen parameters have neither gradients nor optimizer state: only themselves are held.
    """

    copies: int
    tensors: str
    words: str


FORMULAS = {
    "outputs": MemoryFormula(1, "layer_output_bytes", "parameters and layer outputs"),
    "saved": MemoryFormula(1, "layer_saved_bytes", "parameters and saved tensors"),
    "gradients": MemoryFormula(
        2, "layer_saved_bytes", "parameters, their gradients and saved tensors"
    ),
    "momentum": MemoryFormula(
        3, "layer_saved_bytes", "parameters, gradients, momentum and saved tensors"
    ),
    "adam": MemoryFormula(
        4, "layer_saved_bytes", "parameters, gradients, Adam's two moments and saved tensors"
    ),
}
"""``outputs`` is what MP-SL counts; training with plain SGD takes ``gradients``, SGD with momentum
``momentum``. Saved tensors are those that autograd keeps for the backward pass."""

DEFAULT_FORMULA = "momentum"


def check_formula(name: str) -> str:
    """Raise `InputError` if there is no such formula."""
    if name not in FORMULAS:
        raise InputError.at("memory", f"is {name!r}; choose one of {', '.join(FORMULAS)}")
    return name


def layer_memory_bytes(
    profile: ModelProfile,
    batch_size: int,
    formula: str = DEFAULT_FORMULA,
    *,
    sample_gradients: bool = False,
) -> Array:
    """Return the bytes that each layer takes on its machine for one owner, shape ``(L,)``.

    Parameters
    ----------
    profile
        The model.
    batch_size
        Samples of the owner's batch in flight.
    formula
        A key of `FORMULAS`.
    sample_gradients
        Whether the machine computes a gradient for each sample, which holds the tensors twice and
        the trained parameters once more for each sample.

    Raises
    ------
    InputError
        No such formula, or the profile lacks an array that it needs.
    """
    chosen = FORMULAS[check_formula(formula)]
    tensors = getattr(profile, chosen.tensors)
    if tensors is None:
        known = [
            name for name, other in FORMULAS.items() if getattr(profile, other.tensors) is not None
        ]
        mend = (
            f"choose {' or '.join(map(repr, known))}" if known else "add the array to the profile"
        )
        raise InputError(
            f"profile {profile.name!r} has no {chosen.tensors}, which the memory formula "
            f"{formula!r} needs; {mend}"
        )
    trained = layer_trained(profile)
    held = layer_parameters(profile) + (chosen.copies - 1) * trained
    found: Array = held + batch_size * (2.0 * tensors + trained if sample_gradients else tensors)
    return found


def layer_parameters(profile: ModelProfile) -> Array:
    """Return the bytes of the parameters of each layer by itself, shape ``(L,)``.

    Raises
    ------
    InputError
        They are not stated, and `device_model_bytes` falls from one cut to the next.
    """
    if profile.layer_parameter_bytes is not None:
        return profile.layer_parameter_bytes
    found = np.diff(profile.device_model_bytes, prepend=0.0)
    if np.any(found < 0):
        at = int(np.flatnonzero(found < 0)[0])
        raise InputError(
            f"profile {profile.name!r}: device_model_bytes falls at layer {at + 1} "
            f"({profile.layers[at]}), so the parameters of the layers do not follow from it; add "
            "layer_parameter_bytes to the profile"
        )
    return found


def layer_trained(profile: ModelProfile) -> Array:
    """Return the bytes of each layer's parameters that training changes, shape ``(L,)``.

    Raises
    ------
    InputError
        As `layer_parameters` does.
    """
    if profile.layer_trained_bytes is not None:
        return profile.layer_trained_bytes
    return layer_parameters(profile)


GRADIENT_COPIES = 2
"""Parameters and their gradients, as a profile's device memory counts them."""


def server_parts(profile: ModelProfile) -> tuple[Array, Array] | None:
    """Return what a server's part takes while it trains, shape ``(L,)`` each; None if unknown.

    Fixed bytes, which are the parameters behind the cut and the gradients of those that are
    trained, and bytes per sample, which are the tensors that those layers save: with a gradient for
    each sample twice, and the trained parameters once more.
    """
    if profile.layer_saved_bytes is None:
        return None
    try:
        parameters, trained = layer_parameters(profile), layer_trained(profile)
    except InputError:
        return None
    fixed = parameters + (GRADIENT_COPIES - 1) * trained
    saved = profile.layer_saved_bytes
    if profile.sample_gradients == "model":
        saved = 2.0 * saved + trained
    behind = [np.append(np.cumsum(layers[:0:-1])[::-1], 0.0) for layers in (fixed, saved)]
    return behind[0], behind[1]
