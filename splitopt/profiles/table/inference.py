"""Profiles that were measured in inference, with a backward pass taken from the forward pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from splitopt.documents.fields import expect_number
from splitopt.errors import InputError
from splitopt.profiles.table.machine_times import MachineTimes
from splitopt.profiles.table.profile import ModelProfile
from splitopt.profiles.table.provenance import GUESS


def with_backward(profile: ModelProfile, ratio: float = 2.0) -> ModelProfile:
    """Return a profile of inference with backward passes, so that training can be planned by it.

    On machines without any backward time each layer takes `ratio` times its forward pass. Where the
    profile has no backward work at all, that is `ratio` times the forward work, and where no
    gradient crosses a cut, gradients are as large as the activations. Times of updates stay 0. What
    was taken so is a guess, and the profile says it.

    Parameters
    ----------
    profile
        As it was read.
    ratio
        Backward over forward pass; 2 is the count for layers with parameters, whose backward pass
        computes gradients of both weights and inputs.

    Raises
    ------
    InputError
        The ratio is no number above 0, or nothing is missing.
    """
    if expect_number(ratio, "ratio", 0) == 0:
        raise InputError.at("ratio", "is 0; give a number above 0")
    lacking = [name for name, times in profile.machines.items() if not times.backward_s.any()]
    machines = dict(profile.machines)
    for name in lacking:
        times = machines[name]
        machines[name] = MachineTimes(
            times.forward_s,
            ratio * times.forward_s,
            times.update_s,
            times.measured,
            batch=times.batch,
        )
    changes: dict[str, Any] = {}
    if not profile.device_backward_flop.any() and profile.device_forward_flop.any():
        changes["device_backward_flop"] = ratio * profile.device_forward_flop
        changes["server_backward_flop"] = ratio * profile.server_forward_flop
    if not profile.gradient_bytes.any() and profile.smashed_bytes.any():
        changes["gradient_bytes"] = profile.smashed_bytes
    if not lacking and not changes:
        raise InputError(f"profile {profile.name!r} has backward passes already; leave this out")
    provenance = replace(
        profile.provenance, columns={**profile.provenance.columns, **dict.fromkeys(changes, GUESS)}
    )
    for name in lacking:
        provenance = provenance.with_fill(
            f"{name}: backward passes are taken to be {ratio:g} times the forward passes."
        )
    return replace(profile, machines=machines, provenance=provenance, **changes)
