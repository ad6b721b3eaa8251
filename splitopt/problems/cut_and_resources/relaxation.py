"""The relaxed problem, in which a device may mix its cuts: its dual proves lower bounds.

Both duals have one price per shared resource, so that a device only needs to know three numbers to
find its best cut, and any prices at all give a valid bound.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from splitopt.problems.cut_and_resources.fleet import Fleet
from splitopt.problems.cut_and_resources.relaxation_makespan import makespan_root
from splitopt.problems.cut_and_resources.relaxation_sum import sum_root
from splitopt.problems.cut_and_resources.simplicial import Root

if TYPE_CHECKING:
    from splitopt.problems.cut_and_resources.problem import CutAndResources


def root_bound(problem: CutAndResources) -> float:
    """Give the best lower bound that prices alone can prove; infinite without a feasible cut."""
    if problem.infeasibility() is not None:
        return float("inf")
    return solve_root(problem.objective, Fleet.of(problem)).bound


def solve_root(objective: str, fleet: Fleet, watch: Callable[[float], bool] | None = None) -> Root:
    """Solve the relaxed problem for the sum or the makespan.

    Parameters
    ----------
    objective
        ``"sum"`` or ``"makespan"``.
    fleet
        The devices; each needs a cut that is allowed.
    watch
        Told the best bound so far after every pass; it stops the work by returning True.
    """
    return sum_root(fleet, watch) if objective == "sum" else makespan_root(fleet, watch)
