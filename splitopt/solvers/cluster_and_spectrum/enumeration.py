"""Every partition into clusters with its best subcarriers: the reference for all small tests."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from splitopt.documents.checks import check_whole
from splitopt.problems.base import IntArray
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum
from splitopt.problems.cluster_and_spectrum.subcarriers import allocate_clusters
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.options import too_many

Cluster = tuple[int, ...]

_CHUNK = 4096
"""Partitions between two looks at the clock."""
_EXACTLY = 15
"""Digits up to which partitions are counted one by one."""


def too_many_partitions(cluster_sizes: IntArray, most: int) -> str | None:
    """Report that clusters of these sizes can be formed in more ways than `most`, else None."""
    sizes = cluster_sizes.tolist()
    digits = partition_digits(sizes)
    count = partition_count(sizes) if digits < _EXACTLY else 10 ** int(digits)
    return too_many(count, "partitions", "max_partitions", most)


@dataclass(frozen=True)
class Enumerate(Solver[ClusterAndSpectrum]):
    """Try every partition, after the best subcarriers of every possible cluster.

    Parameters
    ----------
    max_partitions
        Refuse a problem that has more partitions than this, and say how many it has.
    """

    name: ClassVar[str] = "enumerate"
    problem: ClassVar[str] = "cluster_and_spectrum"
    objectives: ClassVar[frozenset[str]] = frozenset(ClusterAndSpectrum.objectives)
    kind: ClassVar[Kind] = "exact"

    max_partitions: int = 1_000_000

    def __post_init__(self) -> None:
        check_whole("max_partitions", self.max_partitions, 1)

    def refusal(self, problem: ClusterAndSpectrum) -> str | None:
        """Reject what would take too long, with the price."""
        return too_many_partitions(problem.cluster_sizes, self.max_partitions)

    def run(self, problem: ClusterAndSpectrum, search: Search) -> StopReason:
        """Price all clusters, then walk through all partitions and propose every improvement."""
        sizes = Counter(problem.cluster_sizes.tolist())
        first = next(partitions(tuple(range(problem.devices)), sizes))
        search.propose(problem.complete(first))
        if (reason := search.stop()) is not None:
            return reason
        seconds: dict[Cluster, float] = {}
        for size in sizes:
            found = list(itertools.combinations(range(problem.devices), size))
            costs = allocate_clusters(problem, found).seconds.tolist()
            seconds.update(zip(found, costs, strict=True))
            if (reason := search.stop()) is not None:
                return reason
        every = partitions(tuple(range(problem.devices)), sizes)
        least = math.inf
        while chunk := list(itertools.islice(every, _CHUNK)):
            for clusters in chunk:
                total = sum(seconds[cluster] for cluster in clusters)
                if total < least:
                    least = total
                    search.propose(problem.complete(clusters))
            search.iterations += len(chunk)
            if (reason := search.stop()) is not None:
                return reason
        search.prove(search.objective)
        return "proved"


def partition_count(sizes: list[int]) -> int:
    """Count the ways to split devices into clusters of these sizes, whose order is no matter."""
    count = math.factorial(sum(sizes))
    for size, often in Counter(sizes).items():
        count //= math.factorial(size) ** often * math.factorial(often)
    return count


def partition_digits(sizes: list[int]) -> float:
    """Count the digits of `partition_count`, which are tens of thousands for large fleets."""
    found = math.lgamma(sum(sizes) + 1)
    for size, often in Counter(sizes).items():
        found -= often * math.lgamma(size + 1) + math.lgamma(often + 1)
    return found / math.log(10)


def partitions(devices: Cluster, sizes: Counter[int]) -> Iterator[tuple[Cluster, ...]]:
    """Return every partition once: the first device's cluster is chosen, then the rest."""
    if not devices:
        yield ()
        return
    head, rest = devices[0], devices[1:]
    for size in sorted(size for size, left in sizes.items() if left):
        left = sizes - Counter([size])
        for mates in itertools.combinations(rest, size - 1):
            taken = set(mates)
            others = tuple(device for device in rest if device not in taken)
            for clusters in partitions(others, left):
                yield ((head, *mates), *clusters)
