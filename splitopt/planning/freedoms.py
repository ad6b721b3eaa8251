"""What each kind of choice was worth: the best plan with it, and the best one without it.

Without a choice of the server every device uses the one at which it would be fastest alone (the
rule `nearest_server`); without a choice of anything else all devices have the best common option.
Every number is the answer of a restricted problem, in which all other choices are free.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from pydantic import Field

from splitopt.documents.schemas import Document
from splitopt.driver import solve
from splitopt.planning.predictions.cut_and_resources import FreedomWorth
from splitopt.problems.base import IntArray
from splitopt.problems.cut_and_resources.choice_space import Kind
from splitopt.problems.cut_and_resources.choice_tables import (
    CLOCK,
    CUT,
    DOWN,
    POWER,
    RANK,
    SERVER,
    UP,
    ScenarioChoices,
)
from splitopt.problems.cut_and_resources.problem import ChoicesAndResources
from splitopt.solvers.cut_and_resources.association import NearestServer
from splitopt.solvers.cut_and_resources.relaxation import root_bound

_WITHOUT = {
    SERVER: "everyone at the nearest server",
    CUT: "the best cut for all",
    RANK: "the best rank for all",
    CLOCK: "everyone at its highest clock",
    POWER: "everyone at its highest power",
    UP: "the best bits up for all",
    DOWN: "the best bits down for all",
}
_OWN = (CLOCK, POWER)
"""Kinds whose options are other ones for each device, the highest first."""
_LOOK_S = 10.0
"""How long at most to look for the best plan without one freedom."""


class Freedoms(Document):
    """What each freedom was worth, which takes searches of its own."""

    freedoms: list[FreedomWorth] = Field(default=[])


def worth_of_freedoms(
    problem: ChoicesAndResources, choices: ScenarioChoices, value: float
) -> Freedoms:
    """Compute the best objective without each kind of choice; `value` is that of the plan."""
    rows = []
    for kind in choices.space.free:
        if kind.name == SERVER and len(choices.reached_servers()) < 2:
            continue  # nobody has a choice
        best, label = _without(problem, choices, kind)
        rows.append(
            FreedomWorth(
                freedom=kind.name,
                without=_WITHOUT[kind.name] + (f": {label}" if label else ""),
                objective=best,
                saves=None if best is None else max(0.0, best - value),
            )
        )
    return Freedoms(freedoms=rows)


def _without(
    problem: ChoicesAndResources, choices: ScenarioChoices, kind: Kind
) -> tuple[float | None, str]:
    """Return the best objective without a kind of choice, None if there is none, and its option."""
    options = choices.space.options_of(kind.name)
    if kind.name == SERVER:
        return _at_nearest(problem, options), ""
    tried: list[tuple[float, int, Any]] = []
    for option in range(1 if kind.name in _OWN else len(kind.options)):
        same: Any = problem.restricted(problem.allowed & (options == option))
        if same.infeasibility() is None:
            tried.append((root_bound(same), option, same))
    best, label, end = np.inf, "", time.monotonic() + _LOOK_S
    for bound, option, same in sorted(tried, key=lambda one: one[:2]):
        if bound >= best or (np.isfinite(best) and time.monotonic() > end):
            break  # the others can only take longer, or nobody waits for them
        found = solve(same, "exact", time_limit_s=_LOOK_S)
        if found.is_feasible and found.objective < best:
            best = found.objective
            label = "" if kind.name in _OWN else kind.options[option]
    return (float(best), label) if np.isfinite(best) else (None, "")


def _at_nearest(problem: ChoicesAndResources, server: IntArray) -> float | None:
    """Return the best objective with everyone where it is fastest alone, None without a plan.

    Where seats or memory do not hold all of them, the rule `nearest_server` moves as few as it can.
    """
    alone = np.where(problem.allowed, problem.work_s.sum(axis=2) + problem.own_s, np.inf)
    nearest = server[alone.argmin(axis=1)]
    pinned: Any = problem.restricted(problem.allowed & (server == nearest[:, None]))
    rule = NearestServer()
    found = solve(pinned, "exact", time_limit_s=_LOOK_S)
    if not found.is_feasible and rule.refusal(problem) is None:
        found = solve(problem, rule, time_limit_s=_LOOK_S)
    return float(found.objective) if found.is_feasible else None
