"""Budgets in the relaxed problem: a measure that also counts by how much they are exceeded.

The total of a plan gets one more number per budget, its use as a part of what is allowed. To the
measure of the times is added ``weight . max(0, use - 1)``, which is convex, 0 for every plan within
the budgets, and exact once the weights exceed the budgets' prices. A price of the measure is one of
the times with a price 0 <= mu per budget; as a plan within the budgets has mu . (use - 1) <= 0, the
cheapest total at these prices less the sum of mu is a lower bound for any mu (Lagrange).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray
from splitopt.solvers.cut_and_resources.relaxation.grouping import SLACK
from splitopt.solvers.cut_and_resources.relaxation.measures import Measure, Model


class NoMeasure:
    """Nothing but the budgets: the measure of totals (M, 0) is 0."""

    def values(self, totals: FloatArray) -> FloatArray:
        """Return zeros (M,)."""
        return np.zeros(len(totals))

    def smallest(self, totals: FloatArray, sure: bool = True) -> tuple[int, float]:  # noqa: ARG002
        """Return the first of the totals (M, 0)."""
        return 0, 0.0

    def soft_value(self, total: FloatArray, softness: float) -> float:  # noqa: ARG002
        """Return zero."""
        return 0.0

    def model(self, total: FloatArray, softness: float) -> Model:  # noqa: ARG002
        """Return zero without derivatives."""
        return Model(0.0, np.zeros(0), np.zeros((0, 0)))

    def constant(self, price: FloatArray) -> float:  # noqa: ARG002
        """Return zero."""
        return 0.0


@dataclass(frozen=True)
class BudgetMeasure:
    """A measure of the times, and the excess over budgets.

    Parameters
    ----------
    inner
        The measure of the first K entries of a total.
    weight
        Shape (B,), above 0: what exceeding each of the B budgets by all that it allows costs.
    """

    inner: Measure
    weight: FloatArray

    def _parts(self, totals: FloatArray) -> tuple[FloatArray, FloatArray]:
        size = totals.shape[-1] - len(self.weight)
        return totals[..., :size], totals[..., size:] - 1.0

    def feasible(self, totals: FloatArray) -> BoolArray:
        """Shape (M,): whether totals (M, K + B) keep all budgets."""
        return np.asarray((self._parts(totals)[1] <= SLACK).all(axis=1))

    def values(self, totals: FloatArray) -> FloatArray:
        """Return the exact values of totals (M, K + B)."""
        times, over = self._parts(totals)
        return np.asarray(self.inner.values(times) + np.maximum(over - SLACK, 0.0) @ self.weight)

    def smallest(self, totals: FloatArray, sure: bool = True) -> tuple[int, float]:
        """Return the index and the value of the smallest among totals (M, K + B).

        If `sure`, it is the smallest within the budgets, of infinite value if there is none;
        otherwise what exceeds them counts as in `values`.
        """
        if sure:
            inside = np.flatnonzero(self.feasible(totals))
            if not inside.size:
                return 0, np.inf
            first, value = self.inner.smallest(self._parts(totals[inside])[0])
            return int(inside[first]), value
        values = self.values(totals)
        first = int(values.argmin())
        return first, float(values[first])

    def soft_value(self, total: FloatArray, softness: float) -> float:
        """Return the value at a total (K + B,), kinks rounded off."""
        times, over = self._parts(total)
        with np.errstate(under="ignore"):  # far within a budget nothing is left of it
            soft = softness * np.logaddexp(0.0, self.weight * over / softness)
        return float(self.inner.soft_value(times, softness) + soft.sum())

    def model(self, total: FloatArray, softness: float) -> Model:
        """Return the soft value, its gradient, which is a valid price, and its Hessian."""
        times, over = self._parts(total)
        inner = self.inner.model(times, softness)
        at = np.clip(self.weight * over / softness, -700.0, 700.0)
        active = 1 / (1 + np.exp(-at))
        size = len(times)
        hessian = np.zeros((len(total), len(total)))
        hessian[:size, :size] = inner.hessian
        curve = self.weight**2 / softness * active * (1 - active)
        hessian[range(size, len(total)), range(size, len(total))] = curve
        with np.errstate(under="ignore"):  # far within a budget nothing is left of it
            soft = softness * np.logaddexp(0.0, self.weight * over / softness)
        gradient = np.concatenate((inner.gradient, self.weight * active))
        return Model(float(inner.value + soft.sum()), gradient, hessian)

    def constant(self, price: FloatArray) -> float:
        """Return what to add to the cheapest total: that of the times, less the budgets' prices."""
        size = len(price) - len(self.weight)
        return self.inner.constant(price[:size]) - float(price[size:].sum())
