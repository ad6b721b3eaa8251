"""Every vector of cuts with its optimal shares: the reference for all small tests."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.errors import InputError
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver

_BLOCK = 4096


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

    max_vectors: int = 1_000_000

    def __post_init__(self) -> None:
        if isinstance(self.max_vectors, bool) or not isinstance(self.max_vectors, int):
            raise InputError.at("max_vectors", f"is {self.max_vectors!r}, it must be an integer")
        if self.max_vectors < 1:
            raise InputError.at("max_vectors", f"is {self.max_vectors}, it must be at least 1")

    def refusal(self, problem: CutAndResources) -> str | None:
        """Refuse what would take too long, with the price."""
        vectors = math.prod(int(count) for count in problem.allowed.sum(axis=1))
        if vectors <= self.max_vectors:
            return None
        size = f"{vectors:,}" if vectors < 10**15 else f"about 10^{len(str(vectors)) - 1}"
        return (
            f"would have to try {size} vectors of cuts, more than its limit of "
            f"max_vectors = {self.max_vectors:,}"
        )

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        """Walk through all vectors in blocks and propose every improvement."""
        best = math.inf
        for cuts in _cut_vectors(problem):
            values = _values(problem, cuts)
            first = int(values.argmin())
            if values[first] < best:
                best = float(values[first])
                search.propose(problem.complete(cuts[first]))
            search.iterations += len(cuts)
            if (reason := search.stop()) is not None:
                return reason
        search.prove(search.objective)
        return "proved"


def _cut_vectors(problem: CutAndResources) -> Iterator[IntArray]:
    """Give all allowed vectors of cuts in blocks of shape (at most `_BLOCK`, N)."""
    choices = [np.flatnonzero(row) + 1 for row in problem.allowed]
    every = itertools.product(*choices)
    while block := list(itertools.islice(every, _BLOCK)):
        yield np.array(block, dtype=np.int64)


def _values(problem: CutAndResources, cuts: IntArray) -> FloatArray:
    """Optimal objective for each row of `cuts` (shape (K, N)): vectorised where there is a form."""
    if problem.objective != "sum":
        return np.array([problem.evaluate(problem.complete(row)) for row in cuts])
    rows = np.arange(problem.devices)
    roots = problem.roots[rows, cuts - 1].sum(axis=1)
    return np.asarray((roots**2).sum(axis=1) + problem.device_s[rows, cuts - 1].sum(axis=1))
