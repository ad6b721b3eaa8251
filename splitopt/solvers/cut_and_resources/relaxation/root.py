"""The relaxed problem, in which a device may mix its cuts: its dual proves lower bounds.

Both duals have one price per shared resource, so that a device only needs to know these to find
its best cut, and any prices at all give a valid bound.
"""

from __future__ import annotations

from collections.abc import Callable

from splitopt.errors import InfeasibleError
from splitopt.problems.base import FloatArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.solvers.cut_and_resources.relaxation import large_fleet
from splitopt.solvers.cut_and_resources.relaxation.budget_dual import budget_root
from splitopt.solvers.cut_and_resources.relaxation.fleet import Fleet
from splitopt.solvers.cut_and_resources.relaxation.grouping import fleet_of, in_tables
from splitopt.solvers.cut_and_resources.relaxation.large_fleet import LargeFleet
from splitopt.solvers.cut_and_resources.relaxation.large_makespan import large_makespan_root
from splitopt.solvers.cut_and_resources.relaxation.large_sum import large_sum_root
from splitopt.solvers.cut_and_resources.relaxation.makespan_dual import makespan_root
from splitopt.solvers.cut_and_resources.relaxation.simplicial import Root
from splitopt.solvers.cut_and_resources.relaxation.sum_dual import sum_root

_LARGE_GAP = 1e-10


def root_bound(problem: CutAndResources, halt: Callable[[], bool] | None = None) -> float:
    """Return the best lower bound that prices alone can prove; infinite without a feasible cut.

    It is a bound on the objective of the problem itself, whose plain form is what is relaxed.

    Parameters
    ----------
    problem
        The problem.
    halt
        Asked after every pass over the devices; it ends the work by returning True, such as when
        time is up. The bound so far is valid, and returned.
    """
    if problem.infeasibility() is not None:
        return float("inf")
    plain = problem.plain
    if in_tables(plain):
        try:
            return solve_root(plain.objective, fleet_of(plain), _watched(halt)).bound
        except InfeasibleError:
            return float("inf")
    return large_bound(plain.objective, LargeFleet.of(plain), halt)


def large_bound(objective: str, large: LargeFleet, halt: Callable[[], bool] | None = None) -> float:
    """Return the bound of a large fleet, to about 1e-9, without tables if they would be large."""
    if large.classes * large.layers <= large_fleet.LARGE:
        return solve_root(objective, large.fleet(), _watched(halt)).bound
    solve = large_sum_root if objective == "sum" else large_makespan_root
    return solve(large, _LARGE_GAP, lambda *_: halt is not None and halt()).bound


def _watched(halt: Callable[[], bool] | None) -> Callable[[float], bool] | None:
    return None if halt is None else lambda _: halt()


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
        Shape (R,): prices to start from, the `warm_start` of the root of a similar problem.
    """
    if fleet.use is not None:
        return budget_root(objective, fleet, watch, prices)
    if objective == "sum":
        return sum_root(fleet, watch, prices)
    return makespan_root(fleet, watch, prices)
