"""AdaptSFL: cut and aggregation interval in turn, by the convergence bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.documents.checks import check_whole
from splitopt.problems.time_to_accuracy import TimeToAccuracy
from splitopt.results import StopReason
from splitopt.solvers.base import Search
from splitopt.solvers.time_to_accuracy.by_bound import ByBound, offer, promised_common
from splitopt.solvers.time_to_accuracy.common_plans import common_times
from splitopt.solvers.time_to_accuracy.no_model import with_one_round


@dataclass(frozen=True)
class AdaptSfl(ByBound):
    """Minimize the bound's time over cut and interval in turn (Lin et al., arXiv 2403.13101).

    Both blocks are minimized exactly, over all that may be chosen; descents begin at every
    interval, and the best one counts. Batch sizes are alike and given, as there.

    Parameters
    ----------
    batch_size
        The batch size of all devices, one of those to choose from; 0 for the largest that all
        devices can take at some cut.
    most_sweeps
        Turns of both at most.
    """

    name: ClassVar[str] = "adaptsfl"

    batch_size: int = 0
    most_sweeps: int = 100

    def __post_init__(self) -> None:
        check_whole("batch_size", self.batch_size, 0)
        check_whole("most_sweeps", self.most_sweeps, 1)

    def run(self, problem: TimeToAccuracy, search: Search) -> StopReason:
        """Descend from every interval."""
        usable = np.isfinite(common_times(with_one_round(problem))).any(axis=(1, 2))
        if self.batch_size:
            usable &= problem.batch_sizes == self.batch_size
        if not usable.any():
            asked = f"the batch size {self.batch_size}" if self.batch_size else "one batch size"
            search.message = f"no cut is one that all devices can take with {asked}"
            return "converged"
        b = int(np.flatnonzero(usable)[-1])
        promised = promised_common(problem)[b]
        least, best = np.inf, None
        for start in range(promised.shape[1]):
            cut, k = int(promised[:, start].argmin()), start
            for _ in range(self.most_sweeps):
                search.iterations += 1
                before = cut, k
                k = int(promised[cut].argmin())
                cut = int(promised[:, k].argmin())
                if (cut, k) == before:
                    break
            if promised[cut, k] < least:
                least, best = float(promised[cut, k]), (cut, k)
        if best is None:
            return offer(problem, search, None)
        size, interval = int(problem.batch_sizes[b]), int(problem.intervals[best[1]])
        return offer(problem, search, problem.complete(best[0] + 1, size, interval))
