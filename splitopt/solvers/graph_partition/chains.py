"""`chains`: the best chain of parts over several topological orders of the graph."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np

from splitopt.documents.checks import check_whole
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.graph_partition import GraphPartition
from splitopt.problems.graph_partition.bounds import cheap_bound
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.graph_partition.chain_loops import INFINITE, bottleneck, longest_parts
from splitopt.solvers.graph_partition.groups import Groups, groups_of

_FIRST = 1.5
"""Loads up to this multiple of the bound are looked at first."""
_TRIES = 12
"""Loads for which the longest parts are taken, for a first plan."""
_MOST_CELLS = 20_000_000
"""Cells of the table; beyond that not all devices are used."""
_AT_ONCE = 20_000_000
"""Cells that are looked at between two looks at the clock."""


@dataclass(frozen=True)
class Chains(Solver[GraphPartition]):
    """The least largest load among partitions whose parts are neighbours in a topological order.

    For one order that is exact, by dynamic programming over the positions of the cuts. Orders are
    depth first, breadth first, the same from the end, and random. Of a round, the largest loads of
    all numbers of devices are compared.

    Parameters
    ----------
    orders
        How many orders are tried.
    """

    name: ClassVar[str] = "chains"
    problem: ClassVar[str] = "graph_partition"
    objectives: ClassVar[frozenset[str]] = frozenset(GraphPartition.objectives)
    kind: ClassVar[Kind] = "heuristic"
    partial: ClassVar[bool] = True

    orders: int = 30

    def __post_init__(self) -> None:
        check_whole("orders", self.orders, 1)

    def load(self, problem: GraphPartition) -> None:  # noqa: ARG002 - small loops for all
        """Compile the loops."""
        load_chains()

    def run(self, problem: GraphPartition, search: Search) -> StopReason:
        """Propose the best chain of every order, and prove the problem's cheap bound."""
        search.prove(problem.bound())
        groups = groups_of(problem)
        reason = try_orders(problem, groups, search, self.orders)
        if search.best is None and reason is None:
            search.message = (
                f"none of {self.orders} orders of the nodes can be cut into parts that fit the "
                "memory; another one may, which 'ideals' finds out"
            )
        return reason or search.stop() or "converged"


def try_orders(
    problem: GraphPartition, groups: Groups, search: Search, count: int, share: float = 1.0
) -> StopReason | None:
    """Propose quick plans, then the best chains of several orders; return why the search must stop.

    Loads above what is known are not looked at. For the first order that is a small multiple of
    the bound at first, since otherwise every pair of positions would count.

    Parameters
    ----------
    share
        The part of the time limit after which no further order is begun.
    """
    for first in {0, problem.devices - 1}:  # an accelerator, and a CPU or another accelerator
        search.propose(groups.decision(np.full(groups.count, first, dtype=np.int64)))
    _propose_longest(problem, groups, search)
    periods = problem.periods(1)  # of a plan, at least: no load of use is above the objective by it
    limit = math.inf if search.time_limit_s is None else share * search.time_limit_s
    table = _Table(problem, groups)
    for order in topological_orders(groups, search.rng, count):
        if (reason := search.stop()) is not None:
            return reason
        most = search.objective if search.iterations else _FIRST * search.bound
        while True:
            most = min(most, search.objective, INFINITE)
            if not table.fill(order, most / periods, search):
                return search.stop()
            found = table.least < most
            if found:
                search.propose(groups.decision(table.devices(order)))
            if found or most >= min(search.objective, INFINITE):
                break
            most = max(2 * most, most + search.bound) if most > 0 else INFINITE
        search.iterations += 1
        if search.elapsed_s > limit:
            break
    return search.stop()


def _propose_longest(problem: GraphPartition, groups: Groups, search: Search) -> None:
    """Propose what the longest parts of one order give, for the least load found by halving."""
    (order,) = topological_orders(groups, search.rng, 1)
    ends = np.zeros(min(problem.accelerators, groups.count), dtype=np.int64)
    arrays: list[Any] = [
        *(groups.work_s, groups.memory_bytes, groups.cpu_only, problem.memory_limit),
        *(groups.edges_of.starts, groups.edges_of.items),
        *(groups.members.starts, groups.cost_s, ends),
    ]
    low, high = cheap_bound(problem), math.inf
    device = np.zeros(groups.count, dtype=np.int64)
    for _ in range(_TRIES):
        middle = 1.25 * low if math.isinf(high) else (low + high) / 2
        if (parts := longest_parts(order, middle, *arrays)) < 0:
            low = middle
        else:
            high = middle
            device[order] = np.searchsorted(ends[:parts], np.arange(groups.count), side="right")
        if search.remaining_s <= 0:
            break
    if math.isfinite(high):
        search.propose(groups.decision(device))


class _Table:
    """The dynamic program's table, for as many devices as there is room for."""

    def __init__(self, problem: GraphPartition, groups: Groups) -> None:
        count = groups.count
        accelerators = min(problem.accelerators, count, max(1, _MOST_CELLS // (count + 1) - 1))
        room = _MOST_CELLS // ((count + 1) * (accelerators + 1)) - 1
        cpus = min(problem.cpus, count, max(0, room) if problem.cpus > 1 else 1)
        shape = (accelerators + 1, cpus + 1, count + 1)
        self.best, self.last = np.empty(shape), np.empty(shape, dtype=np.int64)
        self._before = np.zeros(len(groups.cost_s), dtype=np.int64)
        self._counts = np.array([accelerators, cpus], dtype=np.int64)
        self._periods = periods_of(problem, accelerators, cpus)
        self._first_cpu = problem.accelerators
        self._arrays: list[Any] = [
            *(groups.work_s, groups.host_s, groups.memory_bytes, groups.cpu_only),
            *(problem.memory_limit, groups.edges_of.starts, groups.edges_of.items),
            *(groups.members.starts, groups.cost_s, self._before, self.best, self.last),
        ]
        self._block = 1 + _AT_ONCE // (shape[0] * shape[1] * count)

    @property
    def least(self) -> float:
        """The least objective of the order, or what is too much."""
        return float(self._objectives().min())

    def _objectives(self) -> FloatArray:
        """Return the objective of every number of devices, shape (k + 1, l + 1)."""
        loads = self.best[:, :, -1]
        with np.errstate(over="ignore"):
            return np.asarray(np.where(loads < INFINITE, loads * self._periods, INFINITE))

    def fill(self, order: IntArray, most: float, search: Search) -> bool:
        """Fill the table, in parts; False if there is no time left for it."""
        self.best[:] = INFINITE
        self.best[0, 0, 0] = 0.0
        self._before[:] = 0
        for begin in range(0, len(order), self._block):
            if begin and search.stop() is not None:
                return False
            end = min(begin + self._block, len(order))
            bottleneck(order, begin, end, self._counts, most, *self._arrays)
        return True

    def devices(self, order: IntArray) -> IntArray:
        """Follow the table from the end of the order; shape (G,)."""
        end = len(order)
        best = self._objectives()
        j, c = (int(i) for i in np.unravel_index(best.argmin(), best.shape))
        device = np.empty(end, dtype=np.int64)
        while end > 0:
            begin, on_cpu = divmod(int(self.last[j, c, end]), 2)
            j, c = (j, c - 1) if on_cpu else (j - 1, c)
            device[order[begin:end]] = self._first_cpu + c if on_cpu else j
            end = begin
        return device


def periods_of(problem: GraphPartition, accelerators: int, cpus: int) -> FloatArray:
    """Return what multiplies the largest load of so many devices, shape (k + 1, l + 1)."""
    few = [problem.periods(max(1, n)) for n in range(accelerators + cpus + 1)]
    counts = np.add.outer(np.arange(accelerators + 1), np.arange(cpus + 1))
    return np.array(few, dtype=np.float64)[counts]


def topological_orders(groups: Groups, rng: np.random.Generator, count: int) -> Iterator[IntArray]:
    """Return orders of the groups, each behind those that it follows."""
    after, before = groups.after.as_lists(), groups.before.as_lists()
    number = len(after)
    kinds = [(after, before, False), (before, after, True)]
    for k in range(count):
        following, waited, turned = kinds[k % 2]
        ranks = list(range(number)) if k < 2 else rng.permutation(number).tolist()
        found = _order(following, waited, ranks, ("deep", "broad", "random")[k // 2 % 3])
        yield np.array(found[::-1] if turned else found, dtype=np.int64)


def _order(
    following: list[list[int]], waited: list[list[int]], ranks: list[int], kind: str
) -> list[int]:
    """Return one order: what became ready last first, what became ready first, or by rank."""
    left = [len(part) for part in waited]
    ready: list[tuple[int, int, int]] = []
    clock = 0
    for g, count in enumerate(left):
        if count == 0:
            heapq.heappush(ready, (0, ranks[g], g))
    found = []
    while ready:
        g = heapq.heappop(ready)[2]
        found.append(g)
        clock += 1
        key = {"deep": -clock, "broad": clock, "random": 0}[kind]
        for s in following[g]:
            left[s] -= 1
            if left[s] == 0:
                heapq.heappush(ready, (key, ranks[s], s))
    return found


@cache
def load_chains() -> None:
    """Call the loop once in this process, so that it is not compiled while a clock runs."""
    problem = small_problem()
    search = Search(problem, None, -1.0, 0)  # so that no gap ends it
    try_orders(problem, groups_of(problem), search, 1)


def small_problem() -> GraphPartition:
    """Return three layers, two of them side by side, to compile loops with."""
    work, edges = np.array([1.0, 2.0, 3.0]), np.array([[0, 1], [0, 2]])
    return GraphPartition(work, np.ones(3), edges, accelerators=2, cpus=1, cpu_s=4 * work)
