"""Every cut, batch size and interval of every device: the reference for small problems."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.documents.checks import check_whole
from splitopt.problems.base import IntArray
from splitopt.problems.time_to_accuracy import TimeToAccuracy, TimeToAccuracyDecision
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.options import too_many

_EVERY = 1024
"""Plans between two looks at the clock."""


@dataclass(frozen=True)
class Enumerate(Solver[TimeToAccuracy]):
    """Try every plan.

    Parameters
    ----------
    max_plans
        Refuse a problem that has more plans than this, and say how many it has.
    """

    name: ClassVar[str] = "enumerate"
    problem: ClassVar[str] = "time_to_accuracy"
    objectives: ClassVar[frozenset[str]] = frozenset(TimeToAccuracy.objectives)
    kind: ClassVar[Kind] = "exact"

    max_plans: int = 200_000

    def __post_init__(self) -> None:
        check_whole("max_plans", self.max_plans, 1)

    def refusal(self, problem: TimeToAccuracy) -> str | None:
        """Reject what would take too long, with the price."""
        count = 0
        for pairs in _choices(problem):
            plans = len(problem.intervals)
            for own in pairs:
                plans *= len(own)
            count += plans
        return too_many(count, "plans", "max_plans", self.max_plans)

    def run(self, problem: TimeToAccuracy, search: Search) -> StopReason:
        """Propose every plan that reaches the target; the least of them is the bound."""
        for pairs in _choices(problem):
            for plan in itertools.product(*pairs):
                array: IntArray = np.array(plan, dtype=np.int64)
                for interval in problem.intervals.tolist():
                    search.iterations += 1
                    search.propose(TimeToAccuracyDecision(array[:, 0], array[:, 1], interval))
                if search.best is not None and search.iterations % _EVERY < len(problem.intervals):
                    reason = search.stop()
                    if reason is not None:
                        return reason
        search.prove(search.objective)
        return "proved"


def _choices(problem: TimeToAccuracy) -> Iterator[list[list[tuple[int, int]]]]:
    """Iterate over what devices can pick together: per device, pairs of a cut and a batch size."""
    sizes, most = problem.batch_sizes.tolist(), problem.largest_batch

    def pairs(n: int, cuts: range) -> list[tuple[int, int]]:
        return [(c + 1, size) for c in cuts for size in sizes if size <= most[n, c]]

    devices, layers = range(problem.devices), problem.layers
    if problem.cuts == "per_device":
        yield [pairs(n, range(layers)) for n in devices]
        return
    for cut in range(layers):
        yield [pairs(n, range(cut, cut + 1)) for n in devices]
