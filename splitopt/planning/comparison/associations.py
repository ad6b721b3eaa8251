"""The schemes that serve from several servers: DP-MORA with a choice of the server, and rules."""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.driver import solve
from splitopt.latency.pipeline import rent
from splitopt.planning.choice_worth import choice_worth_rows
from splitopt.planning.comparison.loads import copies_memory, device_loads
from splitopt.planning.comparison.rows import ASSOCIATIONS, SchemeRow, unsolved
from splitopt.planning.resource_worth import largest
from splitopt.problems.cut_and_resources.assigned import Assigned, crossing_bytes, of_choices
from splitopt.problems.cut_and_resources.choice_decision import ChoiceDecision
from splitopt.problems.cut_and_resources.choice_tables import choices_of
from splitopt.problems.cut_and_resources.problem import ChoicesAndResources
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario


def choosing(
    scheme: str, scenario: Scenario, profile: ModelProfile, time_limit_s: float | None, seed: int
) -> SchemeRow:
    """Return the best plan of a scheme in which every device has a server and a cut of its own.

    Parameters
    ----------
    scheme
        ``dp_mora_sum``, ``dp_mora_makespan``, or one of `ASSOCIATIONS`: a rule that chooses the
        servers, after which cuts and shares are the best for the longest round.
    """
    objective = "sum" if scheme == "dp_mora_sum" else "makespan"
    choices = choices_of(scenario, profile)
    plain = choices.arguments() | {"priority": None}  # rounds are compared in plain seconds
    problem = ChoicesAndResources(**plain, objective=objective)
    solver = scheme if scheme in ASSOCIATIONS else "auto"
    found = solve(problem, solver, time_limit_s=time_limit_s, seed=seed)
    if not isinstance(found.decision, ChoiceDecision):
        return unsolved(scheme, found.to_dict())
    given = of_choices(choices, found.decision, scenario)
    round_s = float(given.phases.sum(axis=1).max())
    most = largest(choice_worth_rows(problem, choices, found.decision, scenario))
    return SchemeRow(
        scheme=scheme,
        status="feasible",
        cut=_words(given, scenario, profile),
        proved=found.outcome == "optimal",
        gap=found.gap,
        round_s=round_s,
        energy_j=None if problem.energy_j is None else float(problem.energy(found.decision).sum()),
        round_cost=_rent(scenario, round_s),
        helps_most=most.resource if most.per_percent > 0 else None,
        saved_per_percent_s=most.per_percent if most.per_percent > 0 else None,
        **_loads(given, scenario, profile),
    )


def _loads(given: Assigned, scenario: Scenario, profile: ModelProfile) -> dict[str, Any]:
    """Return traffic, work, memory and leakage of all devices, each with the rank that it has."""
    fleet, crossing = scenario.fleet(), crossing_bytes(given, scenario, profile)[:, :, 0]
    parts = []
    for rows, own in given.by_rank(profile):
        some, cuts = scenario._with(devices=tuple(fleet[n] for n in rows)), given.cut[rows]
        found = device_loads(some, own, cuts, crossing[:, rows])
        parts.append(found | {"server_memory_bytes": copies_memory(some, own, cuts)})
    added = ("traffic_bytes", "server_memory_bytes")
    return {
        name: None
        if any(part[name] is None for part in parts)
        else (sum if name in added else max)(part[name] for part in parts)
        for name in parts[0]
    }


def _words(given: Assigned, scenario: Scenario, profile: ModelProfile) -> str:
    """Write where devices cut, and how many each server has."""
    assert given.server is not None  # it is a decision of choices
    first, last = int(given.cut.min()), int(given.cut.max())
    cut = f"{first} ({profile.layers[first - 1]})" if first == last else f"{first} to {last}"
    counts = np.bincount(given.server, minlength=len(scenario.servers))
    names = (
        f"{server.name} {count}" for server, count in zip(scenario.servers, counts, strict=True)
    )
    return f"{cut}, by device; {', '.join(names)}"


def _rent(scenario: Scenario, seconds: float) -> float | None:
    """Return the rent of all servers for so long, None if one has no price."""
    prices = [server.price_per_hour for server in scenario.servers]
    return None if None in prices else float(rent(seconds, np.array(prices, dtype=np.float64)))
