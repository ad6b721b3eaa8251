"""The ranks that the adapters of a scenario's devices may have, and what they must be worth."""

from __future__ import annotations

import numpy as np

from splitopt.errors import InfeasibleError, InputError
from splitopt.problems.base import BoolArray, FloatArray
from splitopt.profiles import ModelProfile
from splitopt.profiles.counting.adapter_ranks import at_rank
from splitopt.scenario import Scenario

QUALITY = "adapter quality below the best"
_ROUNDING = 1e-12
"""Relative difference of two sums of qualities that are the same."""


def profiles_by_rank(scenario: Scenario, profile: ModelProfile) -> list[ModelProfile]:
    """Return the profile at each rank that devices may choose; itself where they choose none.

    Raises
    ------
    InputError
        The profile does not say what a rank costs, a layer is too small, or a machine has seconds
        that were measured at one rank.
    """
    if scenario.adapters is None:
        return [profile]
    _expect_speeds(scenario)
    try:
        return [at_rank(profile, rank) for rank in scenario.adapters.rank]
    except InputError as error:
        raise InputError(f"adapters.rank: {error}") from None


def rank_names(scenario: Scenario) -> tuple[str, ...]:
    """Return the names of the options; one where nothing is chosen."""
    if scenario.adapters is None:
        return ("its adapters",)
    return tuple(f"rank {rank}" for rank in scenario.adapters.rank)


def within_quality(scenario: Scenario) -> BoolArray:
    """Shape (R,): the ranks that are worth what each device must have."""
    stated = scenario.adapters
    if stated is None:
        return np.ones(1, dtype=np.bool_)
    least = 0.0 if stated.device_least is None else stated.device_least
    return np.array(stated.qualities) >= least


def quality_budget(scenario: Scenario, devices: int) -> tuple[FloatArray, float] | None:
    """Return what each rank lacks of the best one (R,), and how much all may lack together.

    A sum of at least G is, with the best quality q, a sum of what is lacking of at most N q - G.

    Raises
    ------
    InfeasibleError
        The best rank for everybody is worth less.
    """
    stated = scenario.adapters
    if stated is None or stated.least_total is None:
        return None
    worth = np.array(stated.qualities)
    most = devices * float(worth.max())
    if most < stated.least_total * (1 - _ROUNDING):
        raise InfeasibleError(
            f"adapters.least_total is {stated.least_total:g}, and the {devices} devices with the "
            f"best rank have {most:g} together: lower it to that, or add a higher rank"
        )
    return worth.max() - worth, max(0.0, most - stated.least_total)


def _expect_speeds(scenario: Scenario) -> None:
    for machine in (*scenario.devices, *scenario.servers):
        if machine.compute is None:
            raise InputError.at(
                "adapters",
                f"need work at every rank, and the seconds of {machine.name} are those of a "
                "measured machine at one rank; give it 'compute', or drop 'adapters'",
            )
