"""The relaxed makespan of a large fleet."""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.solvers.cut_and_resources.relaxation.large_fleet import ROUNDING, LargeFleet, Pass
from splitopt.solvers.cut_and_resources.relaxation.large_root import (
    QuasiNewton,
    Slowest,
    Watch,
    sample,
    slowest,
)
from splitopt.solvers.cut_and_resources.relaxation.makespan_dual import makespan_root, warm_start
from splitopt.solvers.cut_and_resources.relaxation.measures import (
    EPS,
    EigenvalueMeasure,
    dyad,
    principal,
    unpack,
)
from splitopt.solvers.cut_and_resources.relaxation.simplicial import (
    Ending,
    Mixture,
    Root,
    minimise,
)

_STEP = 0.02
"""Step of the differences that give the Jacobian, in logarithms."""
_CLOSE = 1e-6
"""Once all resources are used up to this, only the deadline is adjusted."""
_FAR = 0.3
"""Prices at which some resource is used more or less than its budget by this are no start."""
_KEPT = 4
_SQRT = np.array([1.0, 1.0, 1.0, *[np.sqrt(2.0)] * 3])


def large_makespan_root(
    large: LargeFleet, tolerance: float, watch: Watch, prices: FloatArray | None = None
) -> Root:
    """Find the largest deadline T that prices prove too short.

    At the best prices u^2, |u| = 1, and T every resource that has a price is used up:
    sum_n alpha_i (u . alpha) / (T - d) = u_i with the cheapest cuts. The three prices that are
    given and reported are (T - E) u^2, where E is the earliest deadline that every device can meet
    if it needs nobody.
    """
    facts = slowest(large)
    part = sample(large, facts.alone)
    watch(-np.inf, 1)
    search = _Search(large, watch, facts)
    known = prices is not None and search.newton(part, prices, tolerance, _FAR)
    if not known and not search.done:
        root = makespan_root(part.fleet())
        search.newton(part, search.prices(root.bound, principal(root.price)), tolerance)
    if not search.done:
        search.mix(tolerance)
    return search.result


class _Search:
    """The best bound, the prices that prove it, and plans that were seen on the way."""

    def __init__(self, large: LargeFleet, watch: Watch, facts: Slowest) -> None:
        self.large = large
        self.watch = watch
        self.earliest = facts.earliest * (1 + 4 * EPS)
        self.bound = float(facts.alone.max()) * (1 - 64 * EPS)
        self.price = dyad(np.sqrt(np.full(3, 1 / 3)))
        self.columns: list[IntArray] = []
        self.done = False
        self.result: Root

    def prices(self, deadline: float, u: FloatArray) -> FloatArray:
        """Return the prices (3,) that stand for a deadline and a vector u, |u| = 1."""
        return max(deadline - self.earliest, 0.0) * u**2

    def newton(
        self, part: LargeFleet, prices: FloatArray, tolerance: float, far: float = np.inf
    ) -> bool:
        """Solve the three conditions in the logarithms of the prices.

        False if they are further than `far` from being met at the start.
        """
        if not (prices > 1e-12 * prices.max()).all():
            if prices.any():
                self.price = dyad(np.sqrt(prices / prices.sum()))
            return False
        at = np.log(prices)
        newton = QuasiNewton.by_differences(
            lambda z: self._residual(part, z)[0], at, np.full(3, _STEP)
        )
        first = True
        while True:
            residual, found, deadline, u = self._residual(self.large, at)
            self._note(found, deadline, u)
            size = float(np.abs(residual).max())
            if self.watch(self.bound, 1):
                self._finish(found.cuts, u)
            elif size < _CLOSE:
                self._adjust(found, deadline, u, tolerance)
            if self.done or (first and size > far):
                return self.done
            change = newton.step(at, residual)
            if change is None:
                return True
            at, first = at + np.clip(change, -1.0, 1.0), False

    def _residual(
        self, large: LargeFleet, at: FloatArray
    ) -> tuple[FloatArray, Pass, float, FloatArray]:
        """Return the logarithms of the resources' use, and the pass, deadline and u behind them."""
        # The three numbers (T - E) u^2 stand for both unknowns: their sum is T - E, as |u| = 1.
        point = np.exp(at)
        over = float(point.sum())
        u = np.sqrt(point / over)
        deadline = self.earliest + over
        found = large.price_deadline(_rank_one(u), deadline)
        # M(T) u = u at the optimum, M = sum alpha alpha^T / (T - d): each ratio is then 1.
        used = unpack(found.sums[2:] * _SQRT) @ u / u
        with np.errstate(divide="ignore", invalid="ignore"):
            residual = np.log(used)
        if not np.isfinite(found.sums[0]):
            residual = np.full(3, np.inf)
        return residual, found, deadline, u

    def _adjust(self, found: Pass, deadline: float, u: FloatArray, tolerance: float) -> None:
        """Move the deadline alone until the costs equal the budget."""
        for _ in range(4):
            cost = float(found.sums[0])
            if abs(cost - 1) <= 0.1 * tolerance:
                break
            # Newton's step on 1 / cost - 1: for fixed cuts sums[1] is minus the derivative of cost.
            deadline += (cost - 1) * cost / float(found.sums[1])
            found = self.large.price_deadline(_rank_one(u), deadline)
            self._note(found, deadline, u)
            if self.watch(self.bound, 1):
                break
        self._finish(found.cuts, u)

    def _finish(self, cuts: IntArray, u: FloatArray) -> None:
        self.done = True
        self.result = Root(self.bound, dyad(u), self.prices(self.bound, u), [cuts], np.ones(1))

    def _note(self, found: Pass, deadline: float, u: FloatArray) -> None:
        # Any prices and any deadline prove a bound, also those far from the optimum.
        bound = proven(float(found.sums[0]), deadline)
        self.columns = [*self.columns[1 - _KEPT :], found.cuts]
        if bound > self.bound or len(self.columns) == 1:
            self.bound, self.price = max(bound, self.bound), dyad(u)

    def mix(self, tolerance: float) -> None:
        """Improve prices and deadline in turn, the prices by simplicial decomposition."""
        measure, columns, weights = EigenvalueMeasure(), self.columns, np.ones(1)
        stop = False
        for _ in range(40):
            probe = max(self.bound, self.earliest)
            found = self._at_deadline(measure, probe, columns, tolerance)
            columns, weights, self.price = found.choices, found.weights, found.price
            # No prices make the deadline cost more than there is: it cannot be proved too short.
            stop = self.watch(self.bound, 0)
            if stop or found.bound <= 1 + ROUNDING:
                break
            better, cut = self._deadline_for(probe), self.bound
            self.bound = max(better, self.bound)
            if self.watch(self.bound, 0) or better <= cut * (1 + 0.1 * tolerance):
                break
        start = warm_start(self.bound, self.earliest, self.price)
        self.result = Root(self.bound, self.price, start, columns, weights)

    def _at_deadline(
        self,
        measure: EigenvalueMeasure,
        deadline: float,
        columns: list[IntArray],
        tolerance: float,
    ) -> Mixture:
        """Find better prices for a deadline; done when half of what they can gain is gained."""
        passes = 0

        def oracle(price: FloatArray) -> tuple[FloatArray, IntArray]:
            sums, cuts = self.large.price_deadline(_square_root(price), deadline)
            return sums[2:] * _SQRT, cuts

        def watch(mixture: Mixture) -> bool:
            nonlocal passes
            new, passes = mixture.passes - passes, mixture.passes
            gained = mixture.bound - 1 >= 0.5 * (mixture.value - 1) > 0
            return self.watch(self.bound, new) or gained

        totals, usable = self.large.totals(columns, deadline)
        known = [cuts for cuts, good in zip(columns, usable, strict=True) if good]
        return minimise(
            measure,
            oracle,
            self.price,
            ending=Ending(tolerance=tolerance),
            watch=watch,
            columns=(totals[usable] * _SQRT, known),
            rounding=ROUNDING,
        )

    def _deadline_for(self, deadline: float) -> float:
        """Return the largest deadline that the present prices prove too short."""
        root = _square_root(self.price)
        best = 0.0
        for _ in range(20):
            sums = self.large.price_deadline(root, deadline).sums
            self.watch(self.bound, 1)
            cost = float(sums[0])
            best = max(best, proven(cost, deadline))
            # Newton's step on 1 / cost - 1, as in `_adjust`; every deadline on the way proves one.
            step = (cost - 1) * cost / float(sums[1]) if np.isfinite(cost) and cost else 0.0
            if abs(step) <= 1e-12 * deadline:
                break
            deadline = max(deadline + step, self.earliest)
        return best


def proven(cost: float, deadline: float) -> float:
    """Return a bound on the makespan from the least cost h of serving all by a deadline T.

    T is too short if h > 1. At t < T every cost w / (T - d) is at least 1 + (T - t) / T times as
    large, so that t is too short if t < T (2 - 1 / h).
    """
    sure = cost * (1 - ROUNDING)
    if sure <= 0:
        return 0.0
    return deadline * min(1.0, 2 - 1 / sure) * (1 - 4 * EPS)


def _rank_one(u: FloatArray) -> FloatArray:
    root = np.zeros((3, 3))
    root[0] = u
    return root


def _square_root(price: FloatArray) -> FloatArray:
    """Return V with V^T V = U for a packed price matrix U; a smaller U is a valid price too."""
    values, vectors = np.linalg.eigh(unpack(price))
    values = np.where(values > EPS**2, values, 0.0)
    return np.ascontiguousarray((np.sqrt(values) * vectors).T[::-1])
