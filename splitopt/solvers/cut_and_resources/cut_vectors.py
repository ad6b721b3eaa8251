"""Vectors of cuts as solvers that search over them see them: drawn, encoded and evaluated.

The shares of a vector of cuts are never searched: `CutAndResources.complete` knows the best ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.results import StopReason
from splitopt.solvers.base import Search

_CUTS_AT_ONCE = 2**16
"""Cuts evaluated between two looks at the clock where many vectors are evaluated at once."""


@dataclass(frozen=True)
class CutVectors:
    """All allowed vectors of cuts, as one choice for each device that has more than one.

    Parameters
    ----------
    table
        Shape (N, L): row n begins with the allowed cuts (1..L) of device n, in ascending order.
    free
        Shape (F,): the devices that have more than one allowed cut.
    counts
        Shape (F,): how many cuts these may choose from.
    first
        Shape (F,): choices of a vector to start from, which is the first of those that `draw` and
        `draw_points` give; None without one.
    """

    table: IntArray
    free: IntArray
    counts: IntArray
    first: IntArray | None = None

    @classmethod
    def of(cls, problem: CutAndResources) -> CutVectors:
        """Return the vectors of a problem in which every device has an allowed cut."""
        counts = problem.allowed.sum(axis=1)
        table = np.argsort(~problem.allowed, axis=1, kind="stable") + 1
        free = np.flatnonzero(counts > 1)
        return cls(table, free, counts[free])

    def starting(self, cuts: IntArray) -> CutVectors:
        """Return the same vectors, of which allowed cuts (N,) come first."""
        first = (self.table[self.free] == cuts[self.free, None]).argmax(axis=1)
        return replace(self, first=first)

    def draw(self, rng: np.random.Generator, vectors: int) -> IntArray:
        """Draw choices, shape (vectors, F), all equally likely, but for the first."""
        drawn = rng.integers(0, self.counts, size=(vectors, len(self.free)))
        if self.first is not None:
            drawn[0] = self.first
        return drawn

    def draw_points(self, rng: np.random.Generator, vectors: int) -> FloatArray:
        """Draw points of the unit cube, shape (vectors, F), see `nearest`."""
        drawn = rng.random((vectors, len(self.free)))
        if self.first is not None:
            drawn[0] = (self.first + 0.5) / self.counts
        return drawn

    def nearest(self, points: npt.NDArray[Any]) -> IntArray:
        """Return the choices of points (K, F) in the unit cube: equal slices in cut order."""
        return np.minimum((points * self.counts).astype(np.int64), self.counts - 1)

    def cuts(self, choices: IntArray) -> IntArray:
        """Return the vectors of cuts, shape (K, N), of choices of shape (K, F)."""
        cuts = np.tile(self.table[:, 0], (len(choices), 1))
        cuts[:, self.free] = self.table[self.free, choices]
        return cuts


class Stopped(Exception):  # noqa: N818 - it is a reason, not an error
    """Raised from inside an evaluation, through whatever library asked for it, to end a run."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Evaluations:
    """The objective of vectors of cuts: counts them, proposes every improvement, and stops the run.

    Parameters
    ----------
    problem, search
        What to evaluate, and the run to report to.
    limit
        Most vectors to evaluate; None for no limit.

    A vector that exceeds a budget is worth more than any that keeps them all, and the more the
    further it exceeds them, so that searches find their way back.
    """

    problem: CutAndResources
    search: Search
    limit: int | None = None
    best: float = math.inf
    worst: float = field(init=False, default=math.inf)

    def __post_init__(self) -> None:
        if self.problem.budgets is not None:
            self.worst = _most(self.problem)

    def __call__(self, cuts: IntArray) -> FloatArray:
        """Return the objective, shape (K,), of vectors of cuts (K, N) under their best shares.

        The very first vectors are evaluated whatever the clock says.

        Raises
        ------
        Stopped
            The run is over; the values so far have been proposed.
        """
        values = np.empty(len(cuts))
        done = 0
        while done < len(cuts):
            if self.search.iterations > 0:
                self.check()
            block = cuts[done : done + self._allowance()]
            values[done : done + len(block)] = self._evaluate(block)
            done += len(block)
        return values

    def check(self) -> None:
        """Raise `Stopped` if the run is over."""
        if (reason := self.search.stop()) is not None:
            raise Stopped(reason)
        if self.limit is not None and self.search.iterations >= self.limit:
            raise Stopped("iterations")

    def _allowance(self) -> int:
        """How many vectors to evaluate until the next check."""
        at_once = self.problem.objective == "sum"
        vectors = max(1, _CUTS_AT_ONCE // self.problem.devices) if at_once else 1
        return vectors if self.limit is None else min(vectors, self.limit - self.search.iterations)

    def _evaluate(self, cuts: IntArray) -> FloatArray:
        values = optimal_values(self.problem, cuts)
        self.search.iterations += len(cuts)
        if self.problem.budgets is not None:
            excess = self.problem.budgets.excess(cuts)
            values = np.where(excess > 0, self.worst * (2 + excess), values)
        first = int(values.argmin())
        if values[first] < min(self.best, 2 * self.worst):
            self.best = float(values[first])
            self.search.propose(self.problem.complete(cuts[first]))
        return values


def _most(problem: CutAndResources) -> float:
    """Return a value that no vector of cuts exceeds, above 0."""
    roots = np.where(problem.allowed[:, :, None], problem.roots, 0.0).max(axis=1).sum(axis=0)
    device = np.where(problem.allowed, problem.own_s, 0.0).max(axis=1)
    return float(roots @ roots + device.sum()) * (1 + 1e-9) or 1.0


def optimal_values(problem: CutAndResources, cuts: IntArray) -> FloatArray:
    """Return the objective, shape (K,), of cuts (K, N) under their best shares.

    The sum has a closed form for all vectors at once, see `allocate_for_sum`.
    """
    if problem.objective != "sum":
        return np.array([problem.evaluate(problem.complete(row)) for row in cuts])
    rows = np.arange(problem.devices)
    roots = problem.roots[rows, cuts - 1].sum(axis=1)
    return np.asarray((roots**2).sum(axis=1) + problem.own_s[rows, cuts - 1].sum(axis=1))
