"""Families of curves that scikit-learn does not have, as estimators of it.

This module imports scikit-learn; it is imported where a curve is fitted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures

from splitopt.profiles.table.arrays import Array

_EXPONENTS = np.concatenate([np.arange(-40, 0), np.arange(1, 41)]) / 10.0
_REFINED = np.linspace(-0.1, 0.1, 41)


class PowerRegression(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Least squares of ``a x^p + b``; p between -4 and 4 is searched on a grid, then refined."""

    exponent_: float
    slope_: float
    intercept_: float

    def fit(self, x: Array, y: Array) -> PowerRegression:
        """Fit to one feature > 0."""
        at = np.asarray(x, dtype=np.float64)[:, 0]
        coarse = self._best(at, y, _EXPONENTS)
        near = coarse + _REFINED
        self.exponent_ = self._best(at, y, near[np.abs(near) > 1e-3])
        powers = at**self.exponent_
        apart = powers - powers.mean()
        self.slope_ = float((apart * y).sum() / max((apart**2).sum(), 1e-300))
        self.intercept_ = float(np.mean(y) - self.slope_ * powers.mean())
        return self

    def predict(self, x: Array) -> Array:
        """Evaluate the curve."""
        at = np.asarray(x, dtype=np.float64)[:, 0]
        return np.asarray(self.slope_ * at**self.exponent_ + self.intercept_)

    @staticmethod
    def _best(at: Array, y: Array, exponents: Array) -> float:
        """Return the exponent whose line through (x^p, y) leaves the least squares."""
        powers = at ** exponents[:, None]
        apart = powers - powers.mean(axis=1, keepdims=True)
        apart /= np.maximum(np.abs(apart).max(axis=1, keepdims=True), 1e-300)
        explained = (apart @ (y - y.mean())) ** 2 / np.maximum((apart**2).sum(axis=1), 1e-300)
        return float(exponents[int(np.argmax(explained))])


class PiecewiseRegression(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Least squares of a continuous line with up to two bends, each at one of the points.

    The bends are chosen one after the other, the best first, and then each again beside the other.
    """

    bends_: tuple[float, ...]
    coefficients_: Array

    def fit(self, x: Array, y: Array) -> PiecewiseRegression:
        """Fit to one feature."""
        at = np.asarray(x, dtype=np.float64)[:, 0]
        places = np.unique(at)[1:-1]
        bends: tuple[float, ...] = ()
        for _ in range(2):
            # A line with k bends has k + 2 numbers; one point must be left to contradict it.
            if len(at) <= len(bends) + 3 or len(places) <= len(bends):
                break
            tried = [(*bends, float(place)) for place in places if place not in bends]
            bends = min(tried, key=lambda some: self._least(at, y, some)[1])
        for _ in range(2 * len(bends)):  # the first choice did not know of the second
            others = bends[1:]
            tried = [(*others, float(place)) for place in places if place not in others]
            bends = min(tried, key=lambda some: self._least(at, y, some)[1])
        self.bends_ = bends
        self.coefficients_ = self._least(at, y, bends)[0]
        return self

    def predict(self, x: Array) -> Array:
        """Evaluate the line."""
        at = np.asarray(x, dtype=np.float64)[:, 0]
        return np.asarray(self._design(at, self.bends_) @ self.coefficients_)

    @classmethod
    def _least(cls, at: Array, y: Array, bends: tuple[float, ...]) -> tuple[Array, float]:
        design = cls._design(at, bends)
        found: Array = np.asarray(np.linalg.lstsq(design, y, rcond=None)[0], dtype=np.float64)
        return found, float(((design @ found - y) ** 2).sum())

    @staticmethod
    def _design(at: Array, bends: tuple[float, ...]) -> Array:
        return np.stack([np.ones_like(at), at, *(np.maximum(at - b, 0.0) for b in bends)], axis=1)


def estimator(family: str) -> Any:
    """Build the scikit-learn model of a family; its input is the cut as a column."""
    if family == "power":
        return PowerRegression()
    if family == "piecewise":
        return PiecewiseRegression()
    if family == "isotonic":
        # rising or falling, as the column goes; between the points lines, beyond them constant
        return _Isotonic(increasing="auto", out_of_bounds="clip")
    steps: dict[str, list[Any]] = {
        "linear": [],
        "quadratic": [PolynomialFeatures(2, include_bias=False)],
        "reciprocal": [FunctionTransformer(np.reciprocal)],
        "logarithmic": [FunctionTransformer(np.log)],
    }
    return make_pipeline(*steps[family], LinearRegression())


class _Isotonic(IsotonicRegression):  # type: ignore[misc]
    """Isotonic regression that decides its direction without a warning on few points."""

    def fit(self, x: Array, y: Array) -> _Isotonic:
        at = np.asarray(x, dtype=np.float64)[:, 0]
        rising = float(((at - at.mean()) * (y - np.mean(y))).sum()) >= 0
        self.set_params(increasing=rising)
        super().fit(at, y)
        return self

    def predict(self, x: Array) -> Array:
        return np.asarray(super().predict(np.asarray(x, dtype=np.float64)[:, 0]))
