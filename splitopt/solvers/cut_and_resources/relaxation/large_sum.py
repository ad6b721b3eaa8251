"""The relaxed sum of a large fleet."""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.solvers.cut_and_resources.relaxation.large_fleet import ROUNDING, LargeFleet
from splitopt.solvers.cut_and_resources.relaxation.large_root import (
    QuasiNewton,
    Watch,
    sample,
    slowest,
)
from splitopt.solvers.cut_and_resources.relaxation.measures import SumMeasure
from splitopt.solvers.cut_and_resources.relaxation.simplicial import (
    Ending,
    Mixture,
    Root,
    minimise,
)
from splitopt.solvers.cut_and_resources.relaxation.sum_dual import sum_root

_STEP = 0.02
"""Relative step of the differences that give the Jacobian."""
_KEPT = 4


def large_sum_root(
    large: LargeFleet, tolerance: float, watch: Watch, prices: FloatArray | None = None
) -> Root:
    """Maximise g(p) = -|p|^2 / 4 + sum_n min_l (d_nl + p . alpha_nl).

    At the best p the total A of roots is p / 2; for any p the cheapest cuts are a plan whose value
    exceeds g(p) by |A - p / 2|^2.
    """
    part = sample(large, slowest(large).alone)
    if prices is None:
        prices = sum_root(part.fleet()).price[:3]
    watch(-np.inf, 1)
    search = _Search(large, watch)
    if not search.newton(part, prices, tolerance):
        search.mix(tolerance)
    return search.result


class _Search:
    """The best bound, the prices that prove it, and plans that were seen on the way."""

    def __init__(self, large: LargeFleet, watch: Watch) -> None:
        self.large = large
        self.watch = watch
        self.bound = 0.0  # times are not negative
        self.price = np.zeros(3)
        self.value = np.inf
        self.totals: list[FloatArray] = []
        self.columns: list[IntArray] = []
        self.result: Root

    def newton(self, part: LargeFleet, price: FloatArray, tolerance: float) -> bool:
        """Find the zero of A(p) - p / 2; False if that does not lead to a small gap."""
        step = _STEP * np.maximum(price, 1e-3 * price.max(initial=0.0))
        if not (step > 0).all():
            return False
        newton = QuasiNewton.by_differences(
            lambda p: part.price_sum(p).sums[1:4] - p / 2, price, step
        )
        while True:
            sums, cuts = self.large.price_sum(price)
            residual = sums[1:4] - price / 2  # the gradient of g: A(p) - p / 2
            self._note(price, sums, cuts)
            if self.watch(self.bound, 1) or self.value - self.bound <= tolerance * self.value:
                return True
            change = newton.step(price, residual)
            if change is None:
                return False
            price = np.maximum(price + change, 0.0)

    def _note(self, price: FloatArray, sums: FloatArray, cuts: IntArray) -> None:
        size = float(price @ price) / 4  # g(p) = cheapest costs - |p|^2 / 4, less their rounding
        bound = float(sums[0]) - size - ROUNDING * (float(sums[0]) + size)
        # the cheapest cuts are a plan: |A|^2 + D with the best shares (Cauchy-Schwarz)
        value = float(sums[1:4] @ sums[1:4] + sums[4])
        self.totals = [*self.totals[1 - _KEPT :], sums[1:]]
        self.columns = [*self.columns[1 - _KEPT :], cuts]
        if bound > self.bound or not self.price.any():
            self.bound, self.price = max(bound, self.bound), price
        if value < self.value:
            self.value = value
            self.result = self._root([cuts], np.ones(1))
        else:
            self.result = self._root(self.result.columns, self.result.weights)

    def _root(self, columns: list[IntArray], weights: FloatArray) -> Root:
        return Root(self.bound, np.append(self.price, 1.0), self.price, columns, weights)

    def mix(self, tolerance: float) -> None:
        """Mix plans by simplicial decomposition."""
        passes = 0

        def oracle(price: FloatArray) -> tuple[FloatArray, IntArray]:
            sums, cuts = self.large.price_sum(price[:3])
            return sums[1:], cuts

        def watch(mixture: Mixture) -> bool:
            nonlocal passes
            new, passes = mixture.passes - passes, mixture.passes
            return self.watch(max(mixture.bound, self.bound), new)

        found = minimise(
            SumMeasure(),
            oracle,
            np.append(self.price, 1.0),
            ending=Ending(tolerance=tolerance),
            watch=watch,
            columns=(np.array(self.totals).reshape(-1, 4), self.columns),
            rounding=ROUNDING,
        )
        watch(found)
        bound = max(self.bound, found.bound)
        self.result = Root(bound, found.price, found.price[:3], found.choices, found.weights)
