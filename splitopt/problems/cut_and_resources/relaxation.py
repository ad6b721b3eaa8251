"""The relaxed problem, in which a device may mix its cuts: its dual proves lower bounds.

Both duals have one price per shared resource, so that a device only needs to know three numbers to
find its best cut, and any prices at all give a valid bound.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from splitopt.errors import InfeasibleError
from splitopt.problems.base import FloatArray
from splitopt.problems.cut_and_resources.fleet import Fleet
from splitopt.problems.cut_and_resources.measures import principal
from splitopt.problems.cut_and_resources.relaxation_makespan import makespan_root
from splitopt.problems.cut_and_resources.relaxation_sum import sum_root
from splitopt.problems.cut_and_resources.simplicial import Root

if TYPE_CHECKING:
    from splitopt.problems.cut_and_resources.bulk import Bulk
    from splitopt.problems.cut_and_resources.problem import CutAndResources

_BULK_GAP = 1e-10


def root_bound(problem: CutAndResources) -> float:
    """Give the best lower bound that prices alone can prove; infinite without a feasible cut."""
    if problem.infeasibility() is not None:
        return float("inf")
    from splitopt.problems.cut_and_resources.bulk import LARGE, Bulk

    if problem.budgets is not None:
        try:
            return solve_root(problem.objective, Fleet.of(problem)).bound
        except InfeasibleError:
            return float("inf")
    if problem.devices * problem.layers <= LARGE:
        return solve_root(problem.objective, Fleet.of(problem)).bound
    return bulk_bound(problem.objective, Bulk.of(problem))


def bulk_bound(objective: str, bulk: Bulk) -> float:
    """Give the bound of a large fleet, to about 1e-9, without tables if they would be large."""
    from splitopt.problems.cut_and_resources.bulk import LARGE
    from splitopt.problems.cut_and_resources.bulk_makespan import bulk_makespan_root
    from splitopt.problems.cut_and_resources.bulk_sum import bulk_sum_root

    if bulk.classes * bulk.layers <= LARGE:
        return solve_root(objective, bulk.fleet()).bound
    solve = bulk_sum_root if objective == "sum" else bulk_makespan_root
    return solve(bulk, _BULK_GAP, lambda *_: False).bound


def solve_root(
    objective: str,
    fleet: Fleet,
    watch: Callable[[float], bool] | None = None,
    prices: FloatArray | None = None,
) -> Root:
    """Solve the relaxed problem for the sum or the makespan.

    Parameters
    ----------
    objective
        ``"sum"`` or ``"makespan"``.
    fleet
        The devices; each needs a cut that is allowed.
    watch
        Told the best bound so far after every pass; it stops the work by returning True.
    prices
        Shape (3,): prices to start from, as `prices_of` gives them for a similar problem.
    """
    if fleet.use is not None:
        from splitopt.problems.cut_and_resources.relaxation_budget import budget_root

        return budget_root(objective, fleet, watch, prices)
    if objective == "sum":
        return sum_root(fleet, watch, prices)
    return makespan_root(fleet, watch, prices)


def prices_of(objective: str, fleet: Fleet, root: Root) -> FloatArray:
    """Give three prices from which a similar problem is solved sooner.

    For the sum they are the p of `sum_root`. For the makespan they are (T - E) u^2: T the bound, E
    the earliest deadline that every device can meet if it needs nobody, and u u^T nearest to the
    price matrix of `makespan_root`, |u| = 1.
    """
    if objective == "sum":
        return root.price[:3]
    return max(root.bound - fleet.earliest(), 0.0) * principal(root.price[:6]) ** 2
