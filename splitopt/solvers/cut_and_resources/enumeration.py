"""Every vector of cuts with its optimal shares: the reference for all small tests."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.documents.checks import check_whole
from splitopt.errors import InfeasibleError
from splitopt.problems.base import IntArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.cut_and_resources.problem import RobustCutAndResources
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.cut_and_resources.cut_vectors import CutVectors, Evaluations, Stopped
from splitopt.solvers.options import too_many

_BLOCK = 2**16
"""Cuts made at once."""


@dataclass(frozen=True)
class Enumerate(Solver[CutAndResources]):
    """Try every allowed vector of cuts.

    Parameters
    ----------
    max_vectors
        Refuse a problem that has more vectors of cuts than this, and say how many it has.
    """

    name: ClassVar[str] = "enumerate"
    problem: ClassVar[str] = "cut_and_resources"
    objectives: ClassVar[frozenset[str]] = frozenset(CutAndResources.objectives)
    kind: ClassVar[Kind] = "exact"
    robust: ClassVar[bool] = True

    max_vectors: int = 1_000_000

    def __post_init__(self) -> None:
        check_whole("max_vectors", self.max_vectors, 1)

    def refusal(self, problem: CutAndResources) -> str | None:
        """Reject what would take too long, with the price."""
        choices = np.maximum(problem.allowed.sum(axis=1), 1)
        digits = float(np.log10(choices).sum())
        count = math.prod(choices.tolist()) if digits < 15 else 10 ** int(digits)
        if isinstance(problem, RobustCutAndResources):
            count *= sum(math.comb(problem.devices, size) for size in _sizes(problem))
        return too_many(
            count, f"vectors of {problem.choice_word}s", "max_vectors", self.max_vectors
        )

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        """Walk through all vectors in blocks and propose every improvement.

        Raises
        ------
        InfeasibleError
            No cuts keep all budgets together.
        """
        if isinstance(problem, RobustCutAndResources):
            return _run_robust(problem, search)
        evaluate = Evaluations(problem, search)
        try:
            for cuts in _blocks(CutVectors.of(problem)):
                evaluate(cuts)
        except Stopped as stopped:
            return stopped.reason
        if problem.budgets is not None and search.best is None:
            raise InfeasibleError(problem.over_budgets())
        search.prove(search.objective)
        return "proved"


def _sizes(problem: RobustCutAndResources) -> set[int]:
    """Return how many devices a best plan may serve, see `RobustCutAndResources.robust_shares`."""
    sizes, slow = {problem.waited}, problem.slowness.devices
    if problem.objective == "makespan" and problem.waited + slow <= problem.devices:
        sizes.add(problem.waited + int(slow))
    return sizes


def _run_robust(problem: RobustCutAndResources, search: Search) -> StopReason:
    """Walk through all vectors of cuts and all sets of devices that are served."""
    everyone = range(problem.devices)
    served = np.zeros(problem.devices, dtype=np.bool_)
    for cuts in itertools.chain.from_iterable(_blocks(CutVectors.of(problem))):
        for size in _sizes(problem):
            for chosen in itertools.combinations(everyone, size):
                if search.iterations and (reason := search.stop()) is not None:
                    return reason
                served[:] = False
                served[list(chosen)] = True
                search.iterations += 1
                search.propose(problem.complete(cuts, served))
    if search.best is None:
        raise InfeasibleError(problem.over_budgets())
    search.prove(search.objective)
    return "proved"


def _blocks(vectors: CutVectors) -> Iterator[IntArray]:
    """Return all vectors of cuts in blocks of shape (K, N) that are no larger than `_BLOCK`."""
    size = max(1, _BLOCK // len(vectors.table))
    if len(vectors.free) == 0:
        yield vectors.table[None, :, 0]
        return
    every = itertools.product(*(range(count) for count in vectors.counts))
    while block := list(itertools.islice(every, size)):
        yield vectors.cuts(np.array(block, dtype=np.int64))
