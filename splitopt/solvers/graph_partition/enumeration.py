"""Every assignment of colour classes to devices: the reference for small graphs.

It shares nothing with the other solvers: the problem itself scores every partition.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.documents.checks import check_whole
from splitopt.errors import InfeasibleError
from splitopt.problems.base import IntArray
from splitopt.problems.graph_partition import GraphPartition, GraphPartitionDecision
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.options import too_many


@dataclass(frozen=True)
class Enumerate(Solver[GraphPartition]):
    """Try every partition of the classes; alike devices are taken in the order of their first one.

    Parameters
    ----------
    max_partitions
        Refuse a problem that has more partitions than this, and say how many it has at most.
    """

    name: ClassVar[str] = "enumerate"
    problem: ClassVar[str] = "graph_partition"
    objectives: ClassVar[frozenset[str]] = frozenset(GraphPartition.objectives)
    kind: ClassVar[Kind] = "exact"

    max_partitions: int = 300_000

    def __post_init__(self) -> None:
        check_whole("max_partitions", self.max_partitions, 1)

    def refusal(self, problem: GraphPartition) -> str | None:
        """Reject what would take too long, with the price."""
        count = count_partitions(problem)
        return too_many(count, "partitions", "max_partitions", self.max_partitions)

    def run(self, problem: GraphPartition, search: Search) -> StopReason:
        """Propose every partition; the least of them is the bound."""
        for device in _assignments(problem):
            search.iterations += 1
            search.propose(GraphPartitionDecision(device[problem.classes]))
            if search.best is not None and (reason := search.stop()) is not None:
                return reason
        if search.best is None:
            raise InfeasibleError(
                f"none of {search.iterations:,} partitions fits the memory of the accelerators; "
                "give them more, take more of them, or add a CPU, whose memory has no limit"
            )
        search.prove(search.objective)
        return "proved"


def count_partitions(problem: GraphPartition) -> int:
    """Count the partitions of the classes into accelerators and CPUs, feasible or not."""
    counts = {(0, 0): 1}
    for _ in range(int(problem.classes.max()) + 1):
        following: dict[tuple[int, int], int] = {}
        for (j, c), ways in counts.items():
            for state, factor in (
                ((j, c), j + c),
                ((min(j + 1, problem.accelerators), c), int(j < problem.accelerators)),
                ((j, min(c + 1, problem.cpus)), int(c < problem.cpus)),
            ):
                if factor:
                    following[state] = following.get(state, 0) + factor * ways
        counts = following
        if sum(counts.values()) > 10**30:
            break
    return sum(counts.values())


def _assignments(problem: GraphPartition) -> Iterator[IntArray]:
    """Iterate over the devices of all classes, alike devices in the order of their first class."""
    count, k = int(problem.classes.max()) + 1, problem.accelerators
    device = np.zeros(count, dtype=np.int64)

    def place(c: int, accelerators: int, cpus: int) -> Iterator[IntArray]:
        if c == count:
            yield device
            return
        for d in range(min(accelerators + 1, k)):
            device[c] = d
            yield from place(c + 1, max(accelerators, d + 1), cpus)
        for d in range(min(cpus + 1, problem.cpus)):
            device[c] = k + d
            yield from place(c + 1, accelerators, max(cpus, d + 1))

    yield from place(0, 0, 0)
