"""What a plan for slow devices insures against, replayed: nobody slow, and the worst case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from splitopt.planning.planner import OpenedPlan
from splitopt.problems.cut_and_resources import CutAndResourcesDecision
from splitopt.problems.cut_and_resources.problem import RobustCutAndResources
from splitopt.problems.cut_and_resources.quorum import waited_for
from splitopt.simulation.replay import Insured, Replay, simulate_decision
from splitopt.simulation.slow_devices import WORST
from splitopt.units import some_names


def insured(opened: OpenedPlan, *, noise: float = 0.0, seed: int = 0) -> Insured | None:
    """Replay a round in which nobody is slow and one of the worst case; None if none may be slow.

    Both are what the plan minimises: of a sum the seconds of all rounds that count together, of a
    makespan those until the last one that is waited for is done, weighed by priorities where there
    are some. Without noise the worst one is the plan's robust value.

    Parameters
    ----------
    opened
        A plan with a decision.
    noise, seed
        As for `splitopt.simulate`; both rounds have the same luck.
    """
    problem, decision = opened.problem, opened.decision
    if not isinstance(problem, RobustCutAndResources) or not problem.slowness.devices:
        return None
    assert isinstance(decision, CutAndResourcesDecision)
    replays = [replayed(opened, slow, noise, seed) for slow in (None, WORST)]
    worst, names = problem.worst_case(decision), opened.scenario.fleet()
    nominal_s, worst_s = (objective_of(found, opened) for found in replays)
    return Insured(
        objective=problem.objective,
        slow_devices=problem.slowness.devices,
        slow=tuple(names[n].name for n in np.flatnonzero(worst.slowed > 0)),
        nominal_s=nominal_s,
        worst_s=worst_s,
        planned_s=worst.value,
        nominal_round_s=replays[0].simulated_s,
        worst_round_s=replays[1].simulated_s,
    )


def objective_of(found: Replay, opened: OpenedPlan) -> float:
    """Return the seconds of a replayed round that a plan for slow devices minimises."""
    problem: Any = opened.problem
    line, fleet = found.timeline, opened.scenario.fleet()
    place = {device.name: n for n, device in enumerate(fleet)}
    ends = np.zeros(len(fleet))
    np.maximum.at(ends, np.array([place[name] for name in line.owners])[line.owner], line.end_s)
    if problem.priority is not None:
        ends = problem.priority * ends
    if problem.objective == "makespan":
        return float(ends.max())  # a round of a quorum ends with the last one that is waited for
    awaited = waited_for(problem, opened.decision)
    return float(ends.sum() if awaited is None else ends[awaited].sum())


def insured_facts(found: Insured) -> tuple[tuple[str, str], ...]:
    """Return what a plan insures against in words, label and text."""
    what = " of all rounds together" if found.objective == "sum" else ""
    who = some_names(found.slow) if found.slow else "nobody whom it would cost anything"
    return (
        ("If none is slow", f"{found.nominal_s:,.6g} s{what}"),
        (
            f"At worst, {found.slow_devices:g} slow",
            f"{found.worst_s:,.6g} s{what}, the plan insures {found.planned_s:,.6g} s; "
            f"then slow: {who}",
        ),
    )


def replayed(
    opened: OpenedPlan, slow: Sequence[str] | str | None, noise: float, seed: int
) -> Replay:
    """Replay a plan with a decision, with those slow that are named."""
    assert opened.problem is not None
    assert opened.decision is not None
    return simulate_decision(
        opened.problem,
        opened.decision,
        scenario=opened.scenario,
        profile=opened.profile,
        noise=noise,
        seed=seed,
        slow=slow,
    )
