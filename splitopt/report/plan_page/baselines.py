"""What simpler plans of the same fleet would take."""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.plans import Plan
from splitopt.problems.base import IntArray
from splitopt.problems.cut_and_resources.grouped import GroupedCutAndResources
from splitopt.problems.cut_and_resources.parts import GroupCuts, GroupedDecision
from splitopt.report.content import Column, Table
from splitopt.report.numbers import duration, seconds
from splitopt.report.plan_page.section import Section

MOST_GROUPS = 2_000
_COLUMNS = (
    Column("plan", "Plan", text=True),
    Column("value", "Objective"),
    Column("times", "Against this plan", meaning="its objective, divided by that of this plan"),
    Column("fits", "Within the limits", text=True),
)


def baselines(plan: Plan, problem: GroupedCutAndResources, counts: IntArray) -> Section:
    """Return the section.

    Parameters
    ----------
    plan
        A plan of `CutAndResources`.
    problem
        Its problem by group.
    counts
        Shape (G, L): how many devices of each group have each cut.
    """
    assert plan.prediction is not None  # the caller saw to it
    own = GroupCuts.of_counts(counts)
    unit, value = plan.prediction["objective_unit"], float(plan.result["objective"])
    rows = [_row("this plan", value, value, unit, True)]
    for name, cuts, equal in _others(problem, own):
        decision = equal_shares(problem, cuts) if equal else problem.complete(cuts)
        rows.append(
            _row(name, problem.evaluate(decision), value, unit, not problem.violations(decision))
        )
    table = Table("", "", _COLUMNS, tuple(rows), things="plans")
    return Section(
        "baselines",
        "What simpler plans would take",
        (
            "The same fleet without choosing cuts device by device, or without choosing shares: "
            "what is gained by this plan.",
        ),
        tables=(table,),
    )


def equal_shares(problem: GroupedCutAndResources, cuts: GroupCuts) -> GroupedDecision:
    """Return the decision in which every device has the same share of everything."""
    share = np.full(len(cuts.cut), 1.0 / problem.devices)
    linked = share if problem.shared_links else np.zeros_like(share)
    return GroupedDecision(cuts.group, cuts.cut, cuts.devices, linked, linked, share)


def _others(problem: GroupedCutAndResources, own: GroupCuts) -> list[tuple[str, GroupCuts, bool]]:
    """Return names and cuts of other plans, and whether their shares are equal."""
    count, layers = problem.factors.count, problem.layers
    found = [("the same cuts, equal shares", own, True)]
    allowed = problem.allowed
    common = np.flatnonzero(allowed.all(axis=0)) + 1
    plans = [_common(count, int(cut)) for cut in common]
    fitting = [cuts for cuts in plans if not problem.violations(problem.complete(cuts))]
    if fitting:
        best = min(fitting, key=lambda cuts: problem.evaluate(problem.complete(cuts)))
        cut = int(best.cut[0])
        found.append((f"one cut for all, the best one ({cut}), best shares", best, False))
        found.append((f"one cut for all, the best one ({cut}), equal shares", best, True))
    first = GroupCuts(np.arange(len(count)), allowed.argmax(axis=1) + 1, count)
    found.append(("as little as allowed on each device, best shares", first, False))
    if allowed[:, -1].all():
        found.append(("the whole model on each device, best shares", _common(count, layers), False))
    return found


def _common(count: IntArray, cut: int) -> GroupCuts:
    return GroupCuts(np.arange(len(count)), np.full(len(count), cut), count)


def _row(name: str, value: float, best: float, unit: str, fits: bool) -> dict[str, Any]:
    return {
        "plan": name,
        "value": duration(value) if unit == "s" else f"{seconds(value)} {unit}",
        "times": f"{value / best:.3f} times" if best else "",
        "fits": "yes" if fits else "no",
    }
