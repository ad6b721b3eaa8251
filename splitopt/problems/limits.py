"""The limits that a scenario states, on leakage and memory, and the cuts that they leave.

Every problem takes its limits from here, so that one scenario means the same in all of them. A
limit binds (the cut is not allowed, or refused by name), or `splitopt.problems.memory.unchecked`
says why it cannot be checked with what is known.

* A device's own ``leakage_limit`` counts before that of ``privacy``. Where all devices cut at the
  same layer, the cut must be within the limit of every one of them (DP-MORA C1, CPSL Eq. 26).
* A weight that layers on both sides of a cut train (tied weights) needs a scheme in which device
  and server exchange its gradients, which SplitFedV1 is, and a profile that was traced for that; in
  others no cut lies between its uses.
* Parts must fit into the memory of devices and servers, see `splitopt.problems.memory`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from splitopt.errors import InfeasibleError, InputError
from splitopt.problems.base import BoolArray, FloatArray
from splitopt.problems.memory import (
    allowed_by_memory,
    device_memory_bytes,
)
from splitopt.profiles import ModelProfile
from splitopt.profiles.counting.tied import exchanged_bytes, kept_together, tied_weights
from splitopt.profiles.table.provenance import GUESS
from splitopt.scenario import Scenario
from splitopt.units import readable_bytes


def leakage_limits(scenario: Scenario) -> FloatArray:
    """Shape (N,): every device's own limit, else the scenario's, else infinity."""
    shared = scenario.privacy.leakage_limit
    limits = [
        shared if device.leakage_limit is None else device.leakage_limit
        for device in scenario.fleet()
    ]
    return np.array([np.inf if limit is None else limit for limit in limits])


def allowed_by_leakage(scenario: Scenario, profile: ModelProfile) -> BoolArray:
    """Shape (N, L): the cuts whose leakage is within the limit (DP-MORA C1); all without one.

    Raises
    ------
    InputError
        There is a limit, and the profile has no leakage to compare it with.
    """
    limits = leakage_limits(scenario)
    if np.isinf(limits).all():
        return np.ones((limits.size, profile.layer_count), dtype=np.bool_)
    if profile.leakage is None:
        raise InputError(
            f"leakage_limit is {limits.min():g}, but the profile {profile.name!r} has no leakage "
            "for its cuts; measure it ('splitopt leakage MODEL --into PROFILE.json'), take another "
            "profile, or drop the limit"
        )
    return np.asarray(profile.leakage <= limits[:, None])


def allowed_by_tied(profile: ModelProfile, *, exchanging: bool) -> BoolArray:
    """Shape (L,): the cuts that tied weights allow, in a scheme that can exchange gradients."""
    together = kept_together(profile)
    return np.asarray(together | (exchanged_bytes(profile) > 0)) if exchanging else together


def why_tied(profile: ModelProfile, cut: int | None = None) -> str:
    """Name the weight that layers on both sides of a cut train (1..L; of any by default)."""
    for weight in tied_weights(profile):
        first, last = (profile.layers.index(weight.layers[end]) + 1 for end in (0, -1))
        if cut is None or first <= cut < last:
            return f"the tied weight {weight.name} is trained by {_listed(weight.layers)}"
    raise ValueError(f"no weight is trained on both sides of cut {cut}")


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def check_tied(profile: ModelProfile, cut: int, place: str, *, exchanging: bool = False) -> None:
    """Raise `InfeasibleError` where a cut lies between the uses of a tied weight.

    Parameters are those of `check_leakage`, and whether the parties can exchange gradients of
    weights, which they do where the profile says so.
    """
    fine = allowed_by_tied(profile, exchanging=exchanging)
    if not fine[cut - 1]:
        how = "they exchange its gradients where the profile is traced with --tied copies"
        why = how if exchanging else "nobody exchanges its gradients here"
        raise not_allowed(
            profile,
            (cut, place),
            f"and {why_tied(profile, cut)}, on both sides of it: {why}",
            other_cuts(profile, fine, "tied", "plan with cut_and_resources, or a pipeline"),
        )


def common_cuts(
    scenario: Scenario, profile: ModelProfile, *, exchanging: bool = False
) -> BoolArray:
    """Shape (L,): the cuts that every device may use, by leakage, memory and tied weights."""
    within, fits = (
        allowed_by_leakage(scenario, profile),
        allowed_by_memory(scenario.fleet(), profile),
    )
    tied = allowed_by_tied(profile, exchanging=exchanging)
    return np.asarray((within & fits).all(axis=0) & tied)


def check_leakage(scenario: Scenario, profile: ModelProfile, cut: int, place: str) -> None:
    """Raise `InfeasibleError` where a cut that all devices take leaks more than one allows.

    Parameters
    ----------
    cut
        1..L.
    place
        The field that states the cut, for the message.
    """
    within = allowed_by_leakage(scenario, profile)
    if within[:, cut - 1].all():
        return
    assert profile.leakage is not None  # allowed_by_leakage() saw to it
    limits = leakage_limits(scenario)
    strict = int(limits.argmin())
    raise not_allowed(
        profile,
        (cut, place),
        f"which leaks {profile.leakage[cut - 1]:.6g}{_guess(profile)}, and the limit of "
        f"{scenario.fleet()[strict].name} is {limits[strict]:g}",
        other_cuts(profile, np.asarray(within.all(axis=0)), "leakage", "raise the limit"),
    )


def check_device_memory(scenario: Scenario, profile: ModelProfile, cut: int, place: str) -> None:
    """Raise `InfeasibleError` where a device has not the memory for a cut that all devices take.

    Parameters are those of `check_leakage`.
    """
    fleet = scenario.fleet()
    if allowed_by_memory(fleet, profile)[:, cut - 1].all():
        return
    needs = [device_memory_bytes(device, profile) for device in fleet]
    over = [
        (need[cut - 1] - device.memory, n)
        for n, (device, need) in enumerate(zip(fleet, needs, strict=True))
        if need is not None and device.memory is not None
    ]
    worst = max(over)[1]
    need, memory = needs[worst], fleet[worst].memory
    assert need is not None
    assert memory is not None
    raise not_allowed(
        profile,
        (cut, place),
        f"whose part needs {readable_bytes(float(need[cut - 1]))} on {fleet[worst].name}, and its "
        f"memory is {readable_bytes(memory)}",
        other_cuts(profile, common_cuts(scenario, profile), "memory", "give it more"),
    )


def check_common_cut(
    scenario: Scenario, profile: ModelProfile, cut: int, place: str, *, exchanging: bool = False
) -> None:
    """Raise `InfeasibleError` where a cut is not one that every device may use.

    Parameters are those of `check_tied`.
    """
    check_leakage(scenario, profile, cut, place)
    check_tied(profile, cut, place, exchanging=exchanging)
    check_device_memory(scenario, profile, cut, place)


def not_allowed(
    profile: ModelProfile, stated: tuple[int, str], why: str, others: str
) -> InfeasibleError:
    """Return the error of a cut, stated with its place, that a limit does not allow."""
    cut, place = stated
    return InfeasibleError(f"{place} is {cut} ({profile.layers[cut - 1]}), {why}; {others}")


def why_no_common_cut(
    scenario: Scenario, profile: ModelProfile, last: bool = False, exchanging: bool = False
) -> str:
    """Report why no cut is one that all devices can take.

    Parameters
    ----------
    last
        Whether the last cut, behind which nothing is left for a server, counts too.
    exchanging
        Whether both sides of a cut may hold copies of a tied weight.
    """
    fleet, end = scenario.fleet(), profile.layer_count - (not last)
    within = allowed_by_leakage(scenario, profile)[:, :end]
    fits = allowed_by_memory(fleet, profile)[:, :end]
    if not within.size:
        return f"{profile.name} has one layer and cannot be split"
    if not within.all(axis=0).any():
        assert profile.leakage is not None  # allowed_by_leakage() saw to it
        limits = leakage_limits(scenario)
        strict, least = int(limits.argmin()), int(profile.leakage[:end].argmin())
        before = "" if last else " before the last layer"
        return (
            f"no cut of {profile.name}{before} meets the leakage limit {limits[strict]:g} of "
            f"{fleet[strict].name}; the lowest that can be reached is "
            f"{profile.leakage[least]:.6g} at cut {least + 1}{_guess(profile)}: raise the limit to "
            "that"
        )
    if not fits.all(axis=0).any():
        small = int(fits.sum(axis=1).argmin())
        return f"not even the first part of the model fits into the memory of {fleet[small].name}"
    can, tied = (within & fits).all(axis=0), allowed_by_tied(profile, exchanging=exchanging)[:end]
    if can.any() and not (can & tied).any():
        return (
            f"{why_tied(profile)}, on both sides of every cut that all devices can take, and "
            "nobody exchanges its gradients; "
            + (
                "trace the profile with --tied copies"
                if exchanging
                else "plan with cut_and_resources, of a profile traced with --tied copies"
            )
        )
    deep, short = int(within.sum(axis=1).argmin()), int(fits.sum(axis=1).argmin())
    return (
        f"the cuts that the leakage limit allows ({fleet[deep].name}) are too deep for the memory "
        f"of {fleet[short].name}; raise the limit or the memory"
    )


def _guess(profile: ModelProfile) -> str:
    return ", which is a guess" if profile.state_of("leakage") == GUESS else ""


def other_cuts(profile: ModelProfile, fine: BoolArray, what: str, mend: str) -> str:
    """Report which cuts would do instead."""
    if fine.any():
        names = ", ".join(f"{c + 1} ({profile.layers[c]})" for c in np.flatnonzero(fine))
        return f"cuts that would do: {names}"
    if what == "leakage":
        assert profile.leakage is not None
        least = int(profile.leakage.argmin())
        return f"no cut would do: {mend} to {profile.leakage[least]:.6g} (cut {least + 1})"
    return f"no cut would do: {mend}"
