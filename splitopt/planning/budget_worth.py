"""What a plan of `CutAndResources` uses of its budgets, and what more of them would be worth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from splitopt.driver import solve
from splitopt.planning.predictions.cut_and_resources import BudgetUse, WithoutBudgets
from splitopt.problems.cut_and_resources import CutAndResourcesDecision
from splitopt.problems.cut_and_resources.parts import GroupedDecision
from splitopt.solvers.cut_and_resources.relaxation import root_bound

_MORE = 0.01
"""By how much a budget is raised, relatively, to see what that is worth."""
_LOOK_S = 5.0
"""How long at most to look for the best plan without budgets."""


def budget_rows(problem: Any, decision: Any) -> list[BudgetUse]:
    """Return a row per budget: ``used`` and ``limit``, and what a larger limit would save.

    ``per_percent`` is what 1 % more saves of the relaxed objective, in which devices may mix their
    cuts: one plan or another needs a certain amount at once. ``without`` is the best plan without
    any budget: what it uses of this one, and what it saves of the objective.
    """
    budgets = problem.budgets
    if budgets is None:
        return []
    used = budgets.used(_cuts(decision))
    value = problem.evaluate(decision)
    free = solve(problem.with_budgets(None), "exact", time_limit_s=_LOOK_S)
    kinds = (CutAndResourcesDecision, GroupedDecision)
    best: Any = free.decision if isinstance(free.decision, kinds) else None
    # a plan without budgets that is no better than this one needs no more than this one
    at_will = decision if best is None or not free.objective < value else best
    least = root_bound(problem)
    rows = []
    for b, name in enumerate(budgets.names):
        limit = budgets.limit.copy()
        limit[b] *= 1 + _MORE
        raised = problem.with_budgets(replace(budgets, limit=limit)).plain
        rows.append(
            BudgetUse(
                name=name,
                used=float(used[b]),
                limit=float(budgets.limit[b]),
                per_percent=max(0.0, least - root_bound(raised)),
                without=WithoutBudgets(
                    used=float(budgets.used(_cuts(at_will))[b]),
                    saves=max(0.0, value - problem.evaluate(at_will)),
                ),
            )
        )
    return rows


def _cuts(decision: Any) -> Any:
    """Return the cuts of a decision by device or by group."""
    return decision.parts if isinstance(decision, GroupedDecision) else decision.cut
