"""Every cut, every sample, every partition: the reference for all small tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.documents.checks import check_whole
from splitopt.problems.cut_under_uncertainty import (
    CutUnderUncertainty,
    CutUnderUncertaintyDecision,
)
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.cluster_and_spectrum.enumeration import partition_count
from splitopt.solvers.cut_under_uncertainty.answering.inner import Inner
from splitopt.solvers.options import too_many


@dataclass(frozen=True)
class Enumerate(Solver[CutUnderUncertainty]):
    """Try every partition in every sample under every cut.

    Parameters
    ----------
    max_partitions
        Refuse a problem that has more partitions than this, over all samples and cuts.
    """

    name: ClassVar[str] = "enumerate"
    problem: ClassVar[str] = "cut_under_uncertainty"
    objectives: ClassVar[frozenset[str]] = frozenset(CutUnderUncertainty.objectives)
    kind: ClassVar[Kind] = "exact"

    max_partitions: int = 1_000_000

    def __post_init__(self) -> None:
        check_whole("max_partitions", self.max_partitions, 1)

    def refusal(self, problem: CutUnderUncertainty) -> str | None:
        """Reject what would take too long, with the price."""
        sizes = problem.block(0, 0).cluster_sizes.tolist()
        count = partition_count(sizes) * problem.samples * len(problem.cuts)
        return too_many(count, "partitions", "max_partitions", self.max_partitions)

    def run(self, problem: CutUnderUncertainty, search: Search) -> StopReason:
        """Answer all samples under one cut after the other and propose each cut."""
        search.propose(problem.complete(int(problem.statistic(problem.bounds()).argmin())))
        inner = Inner("enumerate", {"max_partitions": self.max_partitions})
        least = np.inf
        for cut in range(len(problem.cuts)):
            answers = []
            for sample in range(problem.samples):
                if (reason := search.stop()) is not None:
                    return reason
                answers.append(inner.solve(problem.block(sample, cut), 0, sample))
                search.iterations += 1
            least = min(least, float(problem.statistic([one.bound for one in answers])))
            search.propose(CutUnderUncertaintyDecision(cut, tuple(a.decision for a in answers)))
        search.prove(least)
        return "proved"
