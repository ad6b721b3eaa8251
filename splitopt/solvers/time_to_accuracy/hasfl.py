"""HASFL: batch sizes and cuts in turn, by the convergence bound."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from splitopt.documents.checks import check_whole
from splitopt.problems.base import IntArray
from splitopt.problems.time_to_accuracy import TimeToAccuracy, TimeToAccuracyDecision
from splitopt.problems.time_to_accuracy.convergence_bound import promised_rounds
from splitopt.results import StopReason
from splitopt.solvers.base import Search
from splitopt.solvers.time_to_accuracy.by_bound import (
    ByBound,
    offer,
    promised_common,
    promised_seconds,
)


@dataclass(frozen=True)
class Hasfl(ByBound):
    """Minimize the bound's time over batch sizes and cuts in turn (Lin et al., arXiv 2506.08426).

    HASFL takes the aggregation interval as given: here a descent is made at every interval, from
    the best plan with one batch size for all, and the best one by the bound counts. Batch sizes are
    minimized device by device, over all that fit, where HASFL solves a relaxation of them; so are
    cuts per device, and a common cut over all cuts.

    Parameters
    ----------
    most_sweeps
        Turns of both at most.
    """

    name: ClassVar[str] = "hasfl"

    most_sweeps: int = 100

    def __post_init__(self) -> None:
        check_whole("most_sweeps", self.most_sweeps, 1)

    def run(self, problem: TimeToAccuracy, search: Search) -> StopReason:
        """Descend at every interval."""
        promised = promised_common(problem)
        least, best = np.inf, None
        for k, interval in enumerate(problem.intervals.tolist()):
            b, cut = np.unravel_index(int(promised[:, :, k].argmin()), promised.shape[:2])
            if not np.isfinite(promised[b, cut, k]):
                continue
            start = problem.complete(int(cut) + 1, int(problem.batch_sizes[b]), interval)
            plan = self._descend(problem, start, search)
            value = promised_seconds(problem, plan)
            if value < least:
                least, best = value, plan
            if search.stop() is not None:
                break
        return offer(problem, search, best)

    def _descend(
        self, problem: TimeToAccuracy, plan: TimeToAccuracyDecision, search: Search
    ) -> TimeToAccuracyDecision:
        value = promised_seconds(problem, plan)
        for _ in range(self.most_sweeps):
            search.iterations += 1
            plan = _Sweep(problem, plan).of_batches()
            if problem.cuts == "per_device":
                plan = _Sweep(problem, plan).of_cuts()
            else:
                plan = _best_common_cut(problem, plan)
            before, value = value, promised_seconds(problem, plan)
            if not value < before or search.stop() is not None:
                break
        return plan


def _best_common_cut(
    problem: TimeToAccuracy, plan: TimeToAccuracyDecision
) -> TimeToAccuracyDecision:
    """Return the plan at the common cut that the bound likes best with these batch sizes."""
    fits = (problem.largest_batch >= plan.batch_size[:, None]).all(axis=0)
    plans = [
        replace(plan, cut=np.full(problem.devices, cut + 1))
        for cut in np.flatnonzero(fits).tolist()
    ]
    return min(plans, key=lambda found: promised_seconds(problem, found), default=plan)


class _Sweep:
    """One pass over the devices, each of which takes what the bound likes best beside the others.

    Parameters
    ----------
    plan
        Where it begins.
    """

    def __init__(self, problem: TimeToAccuracy, plan: TimeToAccuracyDecision) -> None:
        self.problem, self.interval = problem, plan.aggregation_interval
        self.cuts, self.sizes = plan.cut.copy(), plan.batch_size.copy()
        self.parts = problem.device_seconds(plan)
        self.served = float(self.parts[:, 1].sum())
        self.inverse = float((1.0 / self.sizes).sum())

    def of_batches(self) -> TimeToAccuracyDecision:
        """Return the plan with batch sizes chosen anew."""
        sizes = self.problem.batch_sizes
        for n in range(self.problem.devices):
            cut = self.cuts[n]
            fits = sizes[sizes <= self.problem.largest_batch[n, cut - 1]]
            self._take(n, np.full(len(fits), cut), fits)
        return self._plan()

    def of_cuts(self) -> TimeToAccuracyDecision:
        """Return the plan with a cut of every device chosen anew."""
        for n in range(self.problem.devices):
            fits = np.flatnonzero(self.problem.largest_batch[n] >= self.sizes[n]) + 1
            self._take(n, fits, np.full(len(fits), self.sizes[n]))
        return self._plan()

    def _plan(self) -> TimeToAccuracyDecision:
        return TimeToAccuracyDecision(self.cuts, self.sizes, self.interval)

    def _take(self, n: int, cuts: IntArray, sizes: IntArray) -> None:
        """Assign a device the best of some pairs of cut and batch size."""
        problem = self.problem
        own = np.stack(
            [
                sizes * problem.out_s[n, cuts - 1],
                sizes * problem.server_s[cuts - 1],
                sizes * problem.back_s[n, cuts - 1],
                problem.exchange_s[n, cuts - 1] / self.interval,
            ],
            axis=1,
        )
        others = np.delete(self.parts, n, axis=0).max(axis=0, initial=0.0)
        served = self.served - self.parts[n, 1] + own[:, 1]
        slowest = np.maximum(own, others)
        seconds = slowest[:, 0] + served + slowest[:, 2] + slowest[:, 3]
        deepest = int(np.delete(self.cuts, n).max(initial=1))
        inverse = self.inverse - 1.0 / self.sizes[n] + 1.0 / sizes
        rounds = promised_rounds(
            problem.convergence_bound,
            inverse / problem.devices,
            np.maximum(cuts, deepest),
            self.interval,
            problem.devices,
        )
        at = int((rounds * seconds).argmin())
        current = np.flatnonzero((cuts == self.cuts[n]) & (sizes == self.sizes[n]))
        if not np.isfinite(rounds[at]) or (
            current.size and not rounds[at] * seconds[at] < rounds[current[0]] * seconds[current[0]]
        ):
            return
        self.served, self.inverse = float(served[at]), float(inverse[at])
        self.parts[n] = own[at]
        self.cuts[n], self.sizes[n] = cuts[at], sizes[at]
