"""Every cut with every partition into clusters: the reference for all small tests."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.documents.checks import check_whole
from splitopt.errors import InfeasibleError
from splitopt.problems.base import FloatArray
from splitopt.problems.cut_and_clusters import CutAndClusters
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.cluster_and_spectrum.enumeration import (
    Cluster,
    partitions,
    too_many_partitions,
)

_CHUNK = 4096
"""Partitions between two looks at the clock."""
NO_PARTITION = (
    "no partition into clusters of these sizes gives the devices of every cluster a cut that they "
    "all may take; raise a limit of leakage or memory, or change the sizes"
)


@dataclass(frozen=True)
class Enumerate(Solver[CutAndClusters]):
    """Try every partition at every cut, after the best subcarriers of every possible cluster.

    Parameters
    ----------
    max_partitions
        Refuse a problem that has more partitions than this, and say how many it has.
    """

    name: ClassVar[str] = "enumerate"
    problem: ClassVar[str] = "cut_and_clusters"
    objectives: ClassVar[frozenset[str]] = frozenset(CutAndClusters.objectives)
    kind: ClassVar[Kind] = "exact"

    max_partitions: int = 1_000_000

    def __post_init__(self) -> None:
        check_whole("max_partitions", self.max_partitions, 1)

    def refusal(self, problem: CutAndClusters) -> str | None:
        """Reject what would take too long, with the price."""
        return too_many_partitions(problem.cluster_sizes, self.max_partitions)

    def run(self, problem: CutAndClusters, search: Search) -> StopReason:
        """Price all clusters at all cuts, then walk through all partitions.

        Raises
        ------
        InfeasibleError
            No partition leaves the devices of every cluster a common cut.
        """
        sizes = Counter(problem.cluster_sizes.tolist())
        seconds: dict[Cluster, FloatArray] = {}
        for size in sizes:
            found = list(itertools.combinations(range(problem.devices), size))
            costs = problem.costs(found)
            if problem.cut_per_cluster:
                costs = costs.min(axis=0, keepdims=True)
            seconds.update(zip(found, costs.T, strict=True))
            if (reason := search.stop()) is not None:
                return reason
        least = math.inf
        every = partitions(tuple(range(problem.devices)), sizes)
        while chunk := list(itertools.islice(every, _CHUNK)):
            for clusters in chunk:
                total = float(np.sum([seconds[cluster] for cluster in clusters], axis=0).min())
                if total < least:
                    least = total
                    search.propose(problem.complete(clusters))
            search.iterations += len(chunk)
            if (reason := search.stop()) is not None:
                return reason
        if math.isinf(least):
            raise InfeasibleError(NO_PARTITION)
        search.prove(search.objective)
        return "proved"
