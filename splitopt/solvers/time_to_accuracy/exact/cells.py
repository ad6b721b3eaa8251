"""Ranges of thresholds, and how they are divided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.time_to_accuracy import TimeToAccuracy


@dataclass(frozen=True)
class Cell:
    """Plans whose three maxima lie in ranges of thresholds, at a largest cut and an interval.

    Parameters
    ----------
    cut
        The largest cut, 0-based.
    k
        The number of the interval.
    first, last
        Of each maximum (way out, way back, exchange) the first and last threshold, as numbers in
        the list of all that can be one.
    bound
        A lower bound on its plans.
    """

    cut: int
    k: int
    first: tuple[int, int, int]
    last: tuple[int, int, int]
    bound: float = -np.inf


@dataclass(frozen=True, eq=False)
class Thresholds:
    """The values that the three maxima of a round can take at a largest cut, each rising.

    All sums and products are those of `cell_loops`, bit for bit, so that a comparison with a
    threshold never fails by rounding.
    """

    problem: TimeToAccuracy
    cut: int

    @property
    def _columns(self) -> IntArray:
        """The cuts, 0-based, that devices may take below this largest one."""
        if self.problem.cuts == "common":
            return np.array([self.cut])
        return np.arange(self.cut + 1)

    @cached_property
    def values(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """For each maximum, all values from the least that leaves every device a choice."""
        problem, columns = self.problem, self._columns
        most = problem.largest_batch[:, columns]
        sizes = problem.batch_sizes.astype(np.float64)
        fits = problem.fits[:, columns]
        found = []
        for table in (problem.out_s, problem.back_s):
            each = sizes * table[:, columns, None]
            allowed = sizes <= most[:, :, None]
            least = np.where(allowed, each, np.inf).min(axis=(1, 2)).max()
            every = np.unique(each[allowed])
            found.append(every[every >= least])
        exchange = problem.exchange_s[:, columns]
        least = np.where(fits, exchange, np.inf).min(axis=1).max()
        every = np.unique(exchange[fits])
        out, back = found
        return out, back, every[every >= least]

    def whole(self, k: int) -> Cell:
        """Return the cell of all thresholds at an interval."""
        sizes = [len(values) for values in self.values]
        return Cell(self.cut, k, (0, 0, 0), (sizes[0] - 1, sizes[1] - 1, sizes[2] - 1))

    def corner(self, numbers: tuple[int, int, int]) -> FloatArray:
        """Shape (3,): the thresholds of these numbers."""
        return np.array([self.values[i][number] for i, number in enumerate(numbers)])

    def halves(self, cell: Cell, interval: float) -> Iterator[Cell]:
        """Divide a cell where its corners lie furthest apart in seconds; none if it is a point."""
        scale = (1.0, 1.0, 1.0 / interval)
        spans = [
            (self.values[i][cell.last[i]] - self.values[i][cell.first[i]]) * scale[i]
            for i in range(3)
        ]
        widest = int(np.argmax(spans))
        first, last = cell.first[widest], cell.last[widest]
        if first == last:
            return
        values = self.values[widest]
        middle = 0.5 * (values[first] + values[last])
        at = int(np.searchsorted(values[first : last + 1], middle, side="right")) + first
        at = min(max(at, first + 1), last)
        low, high = list(cell.last), list(cell.first)
        low[widest], high[widest] = at - 1, at
        yield replace(cell, last=(low[0], low[1], low[2]))
        yield replace(cell, first=(high[0], high[1], high[2]))
