"""One cut and one batch size for all devices: the plans that need no planning per device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.problems.base import FloatArray
from splitopt.problems.time_to_accuracy import TimeToAccuracy, TimeToAccuracyDecision
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver


def common_times(problem: TimeToAccuracy) -> FloatArray:
    """Shape (B, L, K): seconds until the target with one batch size, cut and interval for all.

    Infinite where a device cannot take it, or the target is not reached.
    """
    sizes = problem.batch_sizes[:, None, None].astype(np.float64)
    step = sizes[:, :, 0] * (
        problem.out_s.max(axis=0) + problem.back_s.max(axis=0) + problem.devices * problem.server_s
    )
    exchange = problem.exchange_s.max(axis=0)[None, :, None] / problem.intervals
    fits = problem.largest_batch.min(axis=0)[None, :, None] >= sizes
    with np.errstate(invalid="ignore"):
        times = problem.rounds_by_choice * (step[:, :, None] + exchange)
    return np.where(fits, times, np.inf)


def common_plans(problem: TimeToAccuracy) -> Iterator[TimeToAccuracyDecision]:
    """Iterate over the best common plan, where there is one."""
    times = common_times(problem)
    b, cut, k = np.unravel_index(int(times.argmin()), times.shape)
    if np.isfinite(times[b, cut, k]):
        sizes, intervals = problem.batch_sizes, problem.intervals
        yield problem.complete(int(cut) + 1, int(sizes[b]), int(intervals[k]))


@dataclass(frozen=True)
class UniformBatch(Solver[TimeToAccuracy]):
    """Try every common cut, batch size and interval, and keep the best."""

    name: ClassVar[str] = "uniform_batch"
    problem: ClassVar[str] = "time_to_accuracy"
    objectives: ClassVar[frozenset[str]] = frozenset(TimeToAccuracy.objectives)
    kind: ClassVar[Kind] = "rule"
    partial: ClassVar[bool] = True

    def run(self, problem: TimeToAccuracy, search: Search) -> StopReason:
        """Propose the best of all common plans."""
        for plan in common_plans(problem):
            search.iterations += 1
            search.propose(plan)
        if search.best is None:
            search.message = (
                "no cut and batch size is one that all devices can take and that reaches the "
                "target; plan them per device"
            )
        return "converged"
