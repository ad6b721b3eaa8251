"""From an old plan and old prices to a plan for changed numbers, with the gap that is certified.

Any prices prove a bound for any numbers (`relaxation.sum_dual`, `relaxation.makespan_dual`), so
that those of yesterday prove something today, and a few passes make them nearly as good as new:

* single moves: one device after the other takes the cut that is best while the others stay;
* the totals of the plan are prices themselves, 2 A for the sum, the principal vector of
  sum alpha alpha^T / (T - d) for the makespan;
* the cheapest cuts at these prices are mixed into the totals as far as that lowers the measure
  (Frank and Wolfe 1956), which gives the next prices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.results import relative_gap
from splitopt.solvers.cut_and_resources.warm import loops
from splitopt.solvers.cut_and_resources.warm.tables import WarmTables

PASSES = 8
"""Most price-averaging passes."""
SWEEPS = 3
"""Most sweeps of single moves from a plan."""
_STEPS = 40
_SETTLED = 1e-9
"""A relative step of the deadline that is small enough."""


class Followed(NamedTuple):
    """What following comes to.

    Parameters
    ----------
    cuts
        Shape (N,), 0-based: the best plan that was seen for the searched numbers.
    value
        Its objective under the searched numbers.
    bound
        A valid lower bound of the bounded numbers.
    prices
        Shape (R,): prices for the next time, as ``result.details["prices"]`` of `exact`.
    passes
        Passes over the devices for prices.
    before
        The objective of the plan to start from, under the searched numbers.
    """

    cuts: IntArray
    value: float
    bound: float
    prices: FloatArray
    passes: int
    before: float


def follow(
    tables: WarmTables,
    cuts: IntArray,
    prices: FloatArray | None = None,
    *,
    goal: float = 0.0,
    bounded: WarmTables | None = None,
    halt: Callable[[], bool] = lambda: False,
) -> Followed:
    """Improve a plan for the numbers of a fleet, and bound what any plan can reach.

    Parameters
    ----------
    tables
        The numbers to search under; at least one device takes part, and each has an allowed cut.
    cuts
        Shape (N,), 0-based: where to start; one that is not allowed is replaced.
    prices
        Shape (R,): prices to start from.
    goal
        The relative gap at which to stop.
    bounded
        The numbers that the bound is about, by default those that are searched. They may only be
        smaller: own seconds without the cost of moving.
    halt
        Whether to stop before the next pass.
    """
    bounded = tables if bounded is None else bounded
    start = tables.repaired(cuts)
    follower = _Sum if tables.objective == "sum" else _Makespan
    return follower(tables, bounded, start).run(prices, goal, halt)


class _Follower:
    """The state of one run: the best plan, the best bound with its prices."""

    def __init__(self, tables: WarmTables, bounded: WarmTables, cuts: IntArray) -> None:
        self.tables, self.bounded = tables, bounded
        self.cuts, self.value = cuts, self.value_of(cuts)
        self.before = self.value
        self.bound, self.prices = 0.0, np.zeros(tables.shared)  # times are not negative
        self.passes = 0

    def value_of(self, cuts: IntArray) -> float:
        """Return the objective of cuts under the searched numbers."""
        return self.tables.value(cuts)

    def closed(self, goal: float) -> bool:
        """Whether the plan is within the goal of the bound."""
        return relative_gap(self.value, self.bound) <= goal

    def keep(self, cuts: IntArray, value: float) -> bool:
        """Record a plan if it is the best so far."""
        if not value < self.value:
            return False
        self.cuts, self.value = cuts.copy(), value
        return True

    def done(self) -> Followed:
        """Return what was found."""
        return Followed(self.cuts, self.value, self.bound, self.prices, self.passes, self.before)


class _Sum(_Follower):
    def value_of(self, cuts: IntArray) -> float:
        """Return the objective of cuts, whose total is kept."""
        self.total = self.tables.total(cuts)
        return _sum_value(self.total)

    def run(self, prices: FloatArray | None, goal: float, halt: Callable[[], bool]) -> Followed:
        if prices is not None:
            self._price(np.array(prices, dtype=np.float64))  # one that loops may write, as others
        self._sweep(self.cuts, self.total.copy(), goal)
        if self.passes and self.closed(goal):
            return self.done()
        same = self.bounded is self.tables
        mixed = self.total if same else self.bounded.total(self.cuts)
        for turn in range(PASSES):
            chosen, total = self._price(2 * mixed[:-1])
            if self.closed(goal) or halt():
                break
            step = total - mixed
            # |A + t a|^2 + D + t d is least at this t
            square = 2 * float(step[:-1] @ step[:-1])
            slope = 2 * float(mixed[:-1] @ step[:-1]) + float(step[-1])
            if slope >= 0 or square <= 0:
                break
            mixed = mixed + min(1.0, -slope / square) * step
            if turn == 1:
                self._sweep(chosen, self.tables.total(chosen), goal)
        else:
            self._sweep(chosen, self.tables.total(chosen), goal)
        return self.done()

    def _price(self, price: FloatArray) -> tuple[IntArray, FloatArray]:
        """Note what prices prove; return the cheapest cuts at them and their total."""
        cuts = np.zeros(len(self.cuts), dtype=np.int64)
        total = np.empty(len(price) + 1)
        self.bounded.run(loops.price_sum, price, cuts, total)
        cost, size = float(price @ total[:-1] + total[-1]), float(price @ price) / 4
        bound = cost - size - self.bounded.rounding * (cost + size)
        self.passes += 1
        if bound > self.bound or self.passes == 1:
            self.bound, self.prices = max(bound, self.bound), price
        return cuts, total

    def _sweep(self, cuts: IntArray, total: FloatArray, goal: float) -> None:
        """Move devices one by one, from a plan on, as long as that helps and is needed."""
        cuts, moved = cuts.copy(), 0
        for _ in range(SWEEPS):
            changed = self.tables.run(loops.sweep_sum, cuts, total)
            moved += changed
            near = self.passes and relative_gap(_sum_value(total), self.bound) <= goal
            if not changed or near:
                break
        if moved or _sum_value(total) < self.value:
            total = self.tables.total(cuts)  # without the rounding of the moves
            if self.keep(cuts, _sum_value(total)):
                self.total = total


def _sum_value(total: FloatArray) -> float:
    return float(total[:-1] @ total[:-1] + total[-1])


class _Makespan(_Follower):
    goal = 0.0

    def run(self, prices: FloatArray | None, goal: float, halt: Callable[[], bool]) -> Followed:
        self.goal = goal
        if prices is not None and prices.any():
            self._price(np.sqrt(np.asarray(prices, dtype=np.float64)))
        self._sweep()
        if self.passes and self.closed(goal):
            return self.done()
        mixed, u = self._matrix(self.cuts, self.value)
        for turn in range(PASSES):
            found = self._price(u)
            if found is None or self.closed(goal) or halt():
                break
            chosen, matrix, deadline = found
            if turn in (0, 2, 5):
                self._try(chosen)
            # the mixture is of totals at one deadline, which the bound has moved
            if turn == 0:
                mixed = self._matrix_at(self.cuts, max(deadline, self._earliest()))
            step = _best_step(mixed, matrix)
            if step <= 0:
                break
            mixed = mixed + step * (matrix - mixed)
            u = _principal(mixed)
        return self.done()

    def _earliest(self) -> float:
        """Return a deadline that no device's own seconds in the plan exceed, nor meet exactly."""
        own = self.bounded.alpha(self.cuts)[1]
        return float(own.max()) * (1 + 1e-6) + 1e-300

    def _matrix_at(self, cuts: IntArray, deadline: float) -> FloatArray:
        matrix = np.empty((self.tables.shared, self.tables.shared))
        self.bounded.run(loops.matrix_of, cuts, deadline, matrix)
        return matrix

    def _matrix(self, cuts: IntArray, deadline: float) -> tuple[FloatArray, FloatArray]:
        matrix = np.empty((self.tables.shared, self.tables.shared))
        self.tables.run(loops.matrix_of, cuts, deadline, matrix)
        return matrix, _principal(matrix)

    def _sweep(self) -> None:
        for _ in range(SWEEPS):
            cuts, deadline = self.cuts.copy(), self.value
            matrix, u = self._matrix(cuts, deadline)
            if not self.tables.run(loops.sweep_deadline, u, deadline, cuts, matrix):
                return
            if not self.keep(cuts, self.tables.value(cuts)):
                return

    def _try(self, cuts: IntArray) -> None:
        if self.keep(cuts, self.tables.value(cuts)):
            self._sweep()

    def _price(self, u: FloatArray) -> tuple[IntArray, FloatArray, float] | None:
        """Find the deadline at which prices u^2 cost what there is, and note what they prove.

        Returns the cheapest cuts there, their matrix and the deadline; None without any work.
        """
        size = float(np.linalg.norm(u))
        if size == 0:
            return None
        u = u / size
        cuts = np.zeros(len(self.cuts), dtype=np.int64)
        matrix, costs = np.empty((len(u), len(u))), np.empty(2)

        def cost(deadline: float) -> float:
            self.bounded.run(loops.price_deadline, u, deadline, cuts, matrix, costs)
            self.passes += 1
            return float(costs[0])

        low, high, deadline = self.bound, np.inf, self.value
        certain = 1 + self.bounded.rounding
        for _ in range(_STEPS):
            found = cost(deadline)
            if found > certain:
                low = max(low, deadline)
                if not np.isfinite(found):
                    deadline = 0.5 * (deadline + min(high, 2 * deadline))
                    continue
            else:
                high = min(high, deadline)
            # Newton on 1 / cost - 1, aimed a little before the root, where the costs are too high
            step = (found - 1) * found / costs[1] if costs[1] > 0 else 0.5 * (low - deadline)
            target = (deadline + step) * (1 - 0.1 * _SETTLED)
            if not low < target < high:
                target = 0.5 * (low + high) if np.isfinite(high) else 2 * deadline
            enough = relative_gap(self.value, low) <= 0.5 * self.goal
            if (
                enough
                or high - low <= _SETTLED * high
                or abs(target - deadline) <= 0.01 * _SETTLED * high
            ):
                break
            deadline = target
        if low > self.bound or not self.prices.any():
            self.bound = max(low, self.bound)
            own = np.where(np.isfinite(self.bounded.own), self.bounded.own, np.inf).min(axis=1)
            earliest = float(own[self.bounded.here > 0].max())
            self.prices = max(self.bound - earliest, 0.0) * u**2
        if not np.isfinite(costs[0]):
            cost(high if np.isfinite(high) else self.value)
        return (cuts, matrix, deadline) if np.isfinite(costs[0]) else None


def _principal(matrix: FloatArray) -> FloatArray:
    """Return the vector (R,), none of it negative, of the largest eigenvalue."""
    return np.asarray(np.abs(np.linalg.eigh(matrix)[1][:, -1]))


def _best_step(matrix: FloatArray, other: FloatArray) -> float:
    """Return the part t of another matrix that makes the largest eigenvalue of the mix least."""

    def value(t: float) -> float:
        return float(np.linalg.eigvalsh(matrix + t * (other - matrix))[-1])

    low, high = 0.0, 1.0
    for _ in range(12):  # convex in t
        third = (high - low) / 3
        if value(low + third) <= value(high - third):
            high -= third
        else:
            low += third
    return 0.5 * (low + high) if value(0.5 * (low + high)) < value(0.0) else 0.0
