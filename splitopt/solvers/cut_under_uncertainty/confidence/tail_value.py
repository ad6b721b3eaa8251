"""An interval of a CVaR: one threshold bounds it from above, all thresholds from below."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_under_uncertainty.risk import shortfall
from splitopt.solvers.cut_under_uncertainty.confidence.betting import (
    PRODUCT,
    SHARE,
    Wealth,
    check_lowest,
    interval_stake,
)
from splitopt.solvers.cut_under_uncertainty.confidence.cells import Cells, make_cells

_STEPS = 24
_FINE = 0.01
"""Width of the tolerance that cells are made for where there is none, relative to the value."""

_TINY, _SMALL = 1e-300, 1e-3


@dataclass(frozen=True)
class Cap:
    """Latencies count up to `at`; what that leaves out of the CVaR is at most `excess`, in s."""

    at: float
    excess: float = 0.0


@dataclass(frozen=True, eq=False)
class TailValue:
    """What is fixed before the rounds are seen.

    Parameters
    ----------
    cells
        Of the cut.
    pilot
        Shape (n,): upper bounds on other rounds; they change the width alone.
    threshold
        For what is claimed at most.
    cap, least
        No latency is below `least`; see `Cap`.
    """

    cells: Cells
    pilot: FloatArray
    threshold: float
    cap: Cap
    least: float

    @classmethod
    def of_pilot(
        cls, lower: FloatArray, upper: FloatArray, level: float, ends: tuple[float, float]
    ) -> TailValue:
        """Make it from bounds on rounds that are not bet on, and the ends of all latencies."""
        low, high = float(ends[0]), float(ends[1])
        width = _FINE * max(float(np.quantile(upper, level)), _TINY)
        cells = make_cells(lower, upper, level, width, (low, high))
        threshold = max(float(np.quantile(upper, level)), cells.known_below)
        return cls(cells, upper, threshold, Cap(high), low)

    def interval(self, values: FloatArray, level: float) -> tuple[float, float]:
        """Return an interval that covers the CVaR of independent rounds, shape (n,)."""
        goal = math.log(2 / (1 - level))
        count = len(values)
        return (
            self.lower_bound([values], goal, count),
            self.upper_bound([(values, self.threshold)], goal, count),
        )

    def upper_bound(
        self, blocks: Sequence[tuple[FloatArray, float]], goal: float, planned: int
    ) -> float:
        """Return an upper bound from blocks of latencies, each with a threshold fixed before it."""
        level, cap, wealth, most = self.cells.level, self.cap, Wealth(), self.least
        for latencies, t in blocks:
            top = float(shortfall(np.array([cap.at]), t, level)[0])
            most = max(most, top)
            spread = shortfall(np.minimum(self.pilot, cap.at), t, level).var()
            share = interval_stake(float(spread), top - min(self.least, t), goal, planned)
            values = shortfall(np.minimum(latencies, cap.at), t, level)
            check_lowest(-values, top)
            wealth.add(-values, share)
        return -wealth.lower_bound(goal, -most, -self.least) + cap.excess

    def lower_bound(self, blocks: Sequence[FloatArray], goal: float, planned: int) -> float:
        """Return a lower bound: a value that is rejected in all cells."""
        cells = self.cells
        # No more than this is claimed; it is fixed before the bets.
        most = float(shortfall(self.pilot, self.threshold, cells.level).mean())
        floor = cells.values(np.array([self.least]))[:, 0]
        lowest = at_least(most - floor, most)
        spread = np.maximum(cells.values(self.pilot[:2048]).var(axis=1), _TINY)
        share = np.minimum(SHARE / lowest, np.sqrt(2 * goal / (spread * planned)))
        tables = [cells.values(latencies) for latencies in blocks]
        for table in tables:
            check_lowest(table - most, lowest)

        def wealth(some: IntArray, mean: float) -> FloatArray:
            return np.asarray(sum(gain(table[some], share[some], mean) for table in tables))

        return rejected_in_all(wealth, len(floor), goal, (self.least, most))


def at_least(lowest: FloatArray, scale: float) -> FloatArray:
    """Return b > 0 for every cell: where a value is never below 0, any small b is true."""
    return np.asarray(np.maximum(lowest, _SMALL * max(abs(scale), _TINY)))


def gain(values: FloatArray, share: FloatArray, mean: float) -> FloatArray:
    """Compute the growth of the logarithm of the wealth in every cell.

    Parameters
    ----------
    values
        Shape (K, n).
    share
        Shape (K,).
    mean
        What is doubted.
    """
    factors = 1.0 + share[:, None] * (values - mean)
    starts = np.arange(0, factors.shape[1], PRODUCT)
    return np.asarray(np.log(np.multiply.reduceat(factors, starts, axis=1)).sum(axis=1))


def rejected_in_all(
    wealth: Callable[[IntArray, float], FloatArray],
    cells: int,
    goal: float,
    ends: tuple[float, float],
) -> float:
    """Return nearly the largest number between the ends that is rejected in all cells.

    Parameters
    ----------
    wealth
        (some cells, number) -> their wealth's logarithm, which falls with the number.
    cells
        How many there are.
    goal
        The logarithm at which a number is rejected.
    ends
        The first is known to be low enough, the second is the most that is claimed.
    """
    low, best = ends
    left = np.arange(cells)
    while best > low and len(left):
        found = wealth(left, best)
        left = left[found < goal]
        if len(left):  # the cell that resists most says how far to go down
            worst = left[[int(found[found < goal].argmin())]]
            best = largest(lambda m, cell=worst: bool(wealth(cell, m)[0] >= goal), low, best)  # type: ignore[misc]
    return best


def largest(rejected: Callable[[float], bool], low: float, high: float) -> float:
    """Return nearly the largest number from `low` to `high` that is rejected, else `low`."""
    if high <= low or not rejected(low):
        return low
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if rejected(middle):
            low = middle
        else:
            high = middle
    return low
