"""`ideals`: partitions solved to a proof, by tests of T over the ideals of the graph."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar

import numpy as np

from splitopt.documents.checks import check_whole
from splitopt.errors import InfeasibleError
from splitopt.problems.base import FloatArray
from splitopt.problems.graph_partition import GraphPartition
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.graph_partition.chains import load_chains, small_problem, try_orders
from splitopt.solvers.graph_partition.groups import Groups, groups_of
from splitopt.solvers.graph_partition.listing import list_all, room_for
from splitopt.solvers.graph_partition.reaching import (
    FIRST_STEP,
    JUST_BELOW,
    Fleet,
    Tester,
    propose,
    rounding,
)
from splitopt.solvers.graph_partition.rounds import climb_rounds

_SHARE = 0.2
"""Of the time limit: what the first plan may take of it."""


@dataclass(frozen=True)
class ByIdeals(Solver[GraphPartition]):
    """Exact: which ideals the devices can reach one after the other within T, for rising T.

    The first plan is the best chain over several orders. A value of T that no partition reaches is
    a lower bound; a partition that is found is a better plan, and the next T is just below it.

    Parameters
    ----------
    orders
        How many orders the first plan is taken from.
    max_ideals
        Stop with a gap where the graph has more ideals than this, or more than fit 4 GiB: each
        takes some 300 bytes, and 16 more for every 62 groups.
    max_pairs
        Stop with a gap after this many pairs of ideals.
    join
        Whether groups without work are joined with neighbours before.
    dominance
        Whether dominated ideals are dropped.
    """

    name: ClassVar[str] = "ideals"
    problem: ClassVar[str] = "graph_partition"
    objectives: ClassVar[frozenset[str]] = frozenset(GraphPartition.objectives)
    kind: ClassVar[Kind] = "exact"

    orders: int = 30
    max_ideals: int = 1_000_000
    max_pairs: int = 5_000_000_000
    join: bool = True
    dominance: bool = True

    def __post_init__(self) -> None:
        for name in ("orders", "max_ideals", "max_pairs"):
            check_whole(name, getattr(self, name), 1)

    def load(self, problem: GraphPartition) -> None:  # noqa: ARG002 - small loops for all
        """Compile the loops."""
        load_loops()

    def run(self, problem: GraphPartition, search: Search) -> StopReason:
        """Find a first plan, list the ideals, and test values of T until the gap is closed."""
        search.prove(problem.bound())
        groups = groups_of(problem, self.join)
        search.details["groups"] = groups.count
        if (reason := try_orders(problem, groups, search, self.orders, _SHARE)) is not None:
            return reason
        highest = _dearest(problem, groups)
        if search.best is not None:  # no plan of a larger load is better
            highest = search.objective / problem.periods(1)
        groups = _capped(groups, 2 * highest)
        free = _free_work(problem, groups)
        most = min(self.max_ideals, room_for(groups, problem.cpus))
        ideals = list_all(groups, free, most, lambda: search.stop() is not None)
        if ideals is None:
            if (reason := search.stop()) is not None:
                return reason
            search.message = (
                f"the graph has more than {most:,} ideals, so that nothing was proved beyond a "
                f"simple bound; {'raise max_ideals, or ' if most == self.max_ideals else ''}join "
                "neighbouring nodes by colour_classes"
            )
            return "iterations"
        fleet = Fleet(
            min(problem.accelerators, groups.count),
            min(problem.cpus, groups.count),
            _memory(problem, groups),
        )
        stop = lambda: search.stop() is not None  # noqa: E731
        tester = Tester(groups, ideals, fleet, free, stop, self.max_pairs, self.dominance)
        climb = _climb if problem.objective == "load" else climb_rounds
        try:
            return climb(problem, groups, tester, search, highest)
        finally:
            search.iterations += tester.pairs
            search.details |= {
                "ideals": ideals.count,
                "states": tester.states,
                "pairs": tester.pairs,
                "dominated": tester.dropped,
            }


def _climb(
    problem: GraphPartition, groups: Groups, tester: Tester, search: Search, highest: float
) -> StopReason:
    """Test values from the bound upwards until a plan and the bound meet.

    Every test leaves room for rounding, so that a value that fails it is a bound. Without a plan,
    `highest` is what a load can be at most: if that fails, nothing fits the memory.
    """
    slack, step, found = rounding(groups), FIRST_STEP, False
    while (reason := search.stop()) is None:
        known = search.best is not None
        top = search.objective if known else highest
        top -= max(JUST_BELOW * top, 4 * slack) if known else 0.0
        value = top if found or search.bound <= 0 else min(search.bound * (1 + step), top)
        if known and value <= search.bound:  # as close as rounding allows
            return "converged"
        answer = tester.test(value + slack)
        if answer.verdict == "stopped":
            if (reason := search.stop()) is None:
                search.message = f"stopped after {tester.pairs:,} pairs of ideals; raise max_pairs"
            return reason or "iterations"
        if answer.device is not None:
            propose(problem, groups, tester.fleet, answer.device, search)
            if search.objective > value + 2 * slack:
                raise AssertionError("a plan of a test is not what the test says")
            found = True  # from now on just below the plan that is known
        elif not known and value >= top:
            raise InfeasibleError(
                "no partition fits the memory of the accelerators; give them more, take more of "
                "them, or add a CPU, whose memory has no limit"
            )
        else:
            search.prove(value)
            step *= 2
    return reason


def _memory(problem: GraphPartition, groups: Groups) -> float:
    """Return what fits an accelerator, finite, and no more than sums in any order agree on."""
    everything = 2 * math.fsum(groups.memory_bytes.tolist()) + 1.0
    return min(problem.memory_limit * (1 - 2 * math.ulp(1.0) * problem.nodes), everything)


def _dearest(problem: GraphPartition, groups: Groups) -> float:
    """Return what no load is above: all work and all costs on one device."""
    own = math.fsum(groups.work_s.tolist()) + math.fsum(groups.cost_s.tolist())
    return max(own, math.fsum(groups.host_s.tolist())) if problem.cpus else own


def _capped(groups: Groups, most: float) -> Groups:
    """Return the graph with times and costs cut to what is too much for any device as well.

    Partitions below the half of it are the same, and sums do not lose what counts by rounding.
    """
    return replace(
        groups,
        work_s=np.minimum(groups.work_s, most),
        host_s=np.minimum(groups.host_s, most),
        cost_s=np.minimum(groups.cost_s, most),
    )


def _free_work(problem: GraphPartition, groups: Groups) -> FloatArray:
    """Shape (G,): the work of each group that counts while a CPU is free.

    That of groups that no accelerator takes, or that cost a CPU nothing, does not.
    """
    apart = groups.cpu_only | ((groups.host_s == 0) & (problem.cpus > 0))
    return np.where(apart, 0.0, groups.work_s)


@cache
def load_loops() -> None:
    """Call every loop once in this process, so that none is compiled while a clock runs."""
    load_chains()
    problem = small_problem()
    groups = groups_of(problem)
    ideals = list_all(groups, _free_work(problem, groups), 100, lambda: False)
    assert ideals is not None  # there are five
    fleet = Fleet(2, 1, 1.0)
    tester = Tester(groups, ideals, fleet, groups.work_s, lambda: False, 100)
    tester.test(20.0)  # everything is within it: layers of several states
    assert tester.states > 3
