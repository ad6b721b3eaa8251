"""Groups of nodes that share a device in some optimum, and the outputs that cross between them.

A group is a colour class, together with the classes that lie on a circle with it: data would flow
back and forth between their devices otherwise. Groups without work are joined with a neighbour
where that costs nothing, see `join_idle`. Outputs become hyperedges: a device pays for one that it
meets and does not hold whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.graph_partition import GraphPartition, GraphPartitionDecision
from splitopt.problems.graph_partition.program import hyperedges
from splitopt.solvers.graph_partition.idle import Draft, join_idle


@dataclass(frozen=True, eq=False)
class Lists:
    """Lists of numbers one after the other: list i is ``items[starts[i]:starts[i + 1]]``."""

    starts: IntArray
    items: IntArray

    @classmethod
    def of(cls, lists: Sequence[Sequence[int]]) -> Lists:
        """Join lists."""
        lengths = [len(part) for part in lists]
        starts = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))).astype(np.int64)
        return cls(starts, np.array([x for part in lists for x in part], dtype=np.int64))

    def turned(self, count: int) -> Lists:
        """Return for each of `count` numbers the lists that it stands in."""
        found: list[list[int]] = [[] for _ in range(count)]
        for i in range(len(self.starts) - 1):
            for x in self.items[self.starts[i] : self.starts[i + 1]].tolist():
                found[x].append(i)
        return Lists.of(found)

    def as_lists(self) -> list[list[int]]:
        """Return them as lists."""
        items = self.items.tolist()
        return [items[a:b] for a, b in pairwise(self.starts.tolist())]


@dataclass(frozen=True, eq=False)
class Groups:
    """A graph of groups.

    Parameters
    ----------
    group
        Shape (V,): the group of every node.
    work_s, host_s, memory_bytes, cpu_only
        Shape (G,): of every group on an accelerator and on a CPU.
    after
        The groups that follow each one directly.
    members, cost_s
        The groups of every hyperedge, and its cost, shape (H,).
    """

    group: IntArray
    work_s: FloatArray
    host_s: FloatArray
    memory_bytes: FloatArray
    cpu_only: BoolArray
    after: Lists
    members: Lists
    cost_s: FloatArray

    @property
    def count(self) -> int:
        """Number of groups G."""
        return len(self.work_s)

    @cached_property
    def before(self) -> Lists:
        """The groups that each one follows directly."""
        return self.after.turned(self.count)

    @cached_property
    def edges_of(self) -> Lists:
        """The hyperedges that each group belongs to."""
        return self.members.turned(self.count)

    def decision(self, device: IntArray) -> GraphPartitionDecision:
        """Return the decision of the devices of all groups, shape (G,)."""
        return GraphPartitionDecision(device[self.group])


def groups_of(problem: GraphPartition, join: bool = True) -> Groups:
    """Contract the graph of a problem.

    Parameters
    ----------
    join
        Whether groups without work are joined with neighbours, which keeps an optimum.
    """
    classes = problem.classes
    part = _without_circles(int(classes.max()) + 1, classes[problem.order])
    group = part[classes]
    draft = Draft.of(problem, group, [(part[list(m)], cost) for m, cost in hyperedges(problem)])
    if join:
        join_idle(draft)
    names = sorted(draft.after)
    number = {old: new for new, old in enumerate(names)}
    final = np.array([number[draft.home(g)] for g in range(draft.size)], dtype=np.int64)
    costs: dict[tuple[int, ...], list[float]] = {}
    for edge, members in draft.members.items():
        if len(members) > 1:
            key = tuple(sorted(number[g] for g in members))
            costs.setdefault(key, []).append(draft.cost[edge])
    joined = final[group]

    def total(values: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(joined, values), dtype=np.float64)

    return Groups(
        group=joined,
        work_s=total(problem.accelerator_s),
        host_s=total(problem.cpu_s),
        memory_bytes=total(problem.memory_bytes),
        cpu_only=np.bincount(joined, problem.cpu_only) > 0,
        after=Lists.of([sorted(number[b] for b in draft.after[old]) for old in names]),
        members=Lists.of(list(costs)),
        cost_s=np.array([math.fsum(parts) for parts in costs.values()]),
    )


def _without_circles(count: int, arcs: IntArray) -> IntArray:
    """Shape (count,): the number of the strongly connected component of every class."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(arcs):
        return np.arange(count, dtype=np.int64)
    ones = np.ones(len(arcs), dtype=np.int8)
    graph = coo_array((ones, (arcs[:, 0], arcs[:, 1])), shape=(count, count))
    _, part = connected_components(graph, directed=True, connection="strong")
    return np.asarray(part, dtype=np.int64)
