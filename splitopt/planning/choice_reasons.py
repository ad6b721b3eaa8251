"""Why no plan of servers, cuts and bits exists, and what would have to change."""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import IntArray
from splitopt.problems.cut_and_resources.choice_tables import (
    choices_of,
    distortion_of,
    energy_of,
    memory_name,
    precision_of,
)
from splitopt.problems.cut_and_resources.problem import CutAndResources
from splitopt.problems.memory import memory_words
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario
from splitopt.units import readable_bytes


def why_no_choice(
    problem: CutAndResources, scenario: Scenario, profile: ModelProfile, stuck: IntArray
) -> str | None:
    """Name the limit on distortion or energy, or the memory of all servers, that leaves no plan.

    Parameters
    ----------
    problem, scenario, profile
        What was asked, and the fleet and model that it is about.
    stuck
        The devices that have no allowed choice.
    """
    limit, least = precision_of(scenario).device_limit, float(distortion_of(scenario).min())
    if limit is not None and least > limit:
        return (
            f"precision.device_limit is {limit:g}, and the bits that distort least take {least:g}: "
            "raise the limit to that, or add 32 bits"
        )
    if (found := _ranks_too_low(scenario)) is not None:
        return found
    if stuck.size:
        return _too_little_energy(scenario, profile, stuck)
    return _servers_too_small(problem, scenario)


def _ranks_too_low(scenario: Scenario) -> str | None:
    """Name the quality that no rank has."""
    stated = scenario.adapters
    if stated is None or stated.device_least is None:
        return None
    if (best := max(stated.qualities)) >= stated.device_least:
        return None
    return (
        f"adapters.device_least is {stated.device_least:g}, and the best of the ranks has {best:g}:"
        " lower it to that, or add a higher rank"
    )


def _too_little_energy(scenario: Scenario, profile: ModelProfile, stuck: IntArray) -> str | None:
    """Name the devices whose limit on energy is below all that they could do within the others."""
    limit = None if scenario.energy is None else scenario.energy.device_limit_joule
    if limit is None:
        return None
    assert scenario.energy is not None
    free = scenario._with(energy=scenario.energy._with(device_limit_joule=None))
    choices = choices_of(free, profile)
    assert choices.powers is not None  # or the limit would have been refused
    energy = np.where(choices.allowed, energy_of(choices.powers, choices.seconds), np.inf)
    least = energy.min(axis=1)[stuck]
    if not np.isfinite(least).all():
        return None
    names = ", ".join(scenario.fleet()[n].name for n in stuck[:8])
    return (
        f"energy.device_limit_joule is {limit:g}, and the least that {names} can spend in a round "
        f"is {least.max():.6g} J: raise the limit to that"
    )


def _servers_too_small(problem: CutAndResources, scenario: Scenario) -> str | None:
    """Report how much memory all servers together would need, where each states its own."""
    budgets, servers = problem.budgets, scenario.servers
    places = [memory_name(server) for server in servers]
    if budgets is None or not set(places) <= set(budgets.names):
        return None
    # a choice uses the memory of one server: the sum over all is what it takes anywhere
    rows = [budgets.names.index(name) for name in places]
    use = budgets.table()[:, :, rows].sum(axis=2)
    least = float(np.where(problem.allowed, use, np.inf).min(axis=1).sum())
    held = sum(server.memory or 0.0 for server in servers)
    if least <= held:
        return None
    return (
        f"{', '.join(server.name for server in servers)} hold a copy of their part for each of "
        f"their devices, and their memory together is {readable_bytes(held)}; the cuts that need "
        f"least take {memory_words(least)} for the {problem.devices} devices"
    )
