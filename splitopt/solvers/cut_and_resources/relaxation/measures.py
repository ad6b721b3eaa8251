"""The two objectives as convex functions of a sum over devices, and what their dual prices prove.

Every device that uses a cut adds a vector to a total S, and the objective is a function of S:

* sum of latencies: the vector is (sqrt a, sqrt b, sqrt c, d) and the value is
  S_1^2 + S_2^2 + S_3^2 + S_4 (DP-MORA Eq. 19 with the best shares);
* makespan at a deadline T: the vector is the matrix alpha alpha^T / (T - d) with
  alpha = (sqrt a, sqrt b, sqrt c), and the value is the largest eigenvalue of S: the deadline
  can be met exactly if it is at most one.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from splitopt.problems.base import FloatArray

EPS = float(np.finfo(np.float64).eps)
_SQRT2 = float(np.sqrt(2.0))
_ROW = np.array([0, 1, 2, 0, 0, 1])
_COLUMN = np.array([0, 1, 2, 1, 2, 2])
_SCALE = np.array([1.0, 1.0, 1.0, _SQRT2, _SQRT2, _SQRT2])
_PAIRS = (_ROW, _COLUMN)
_SUM_HESSIAN = np.diag([2.0, 2.0, 2.0, 0.0])
_FEW = 64
_ROUGH = 1e-6
"""Far above the error of the roots of the characteristic polynomial, which is about 1e-8."""


class Model(NamedTuple):
    """A measure near one total: its value, gradient (K,) and Hessian (K, K)."""

    value: float
    gradient: FloatArray
    hessian: FloatArray


class Measure(Protocol):
    """A convex function of the total S, shape (K,)."""

    def values(self, totals: FloatArray) -> FloatArray:
        """Return the exact values of totals (M, K)."""
        ...

    def smallest(self, totals: FloatArray, sure: bool = True) -> tuple[int, float]:
        """Return the index and the exact value of the smallest among totals (M, K), M >= 1.

        If not `sure`, it may be one whose value is larger by about 1e-8, relatively.
        """
        ...

    def soft_value(self, total: FloatArray, softness: float) -> float:
        """Return the value at a total (K,), kinks rounded off by `softness`."""
        ...

    def model(self, total: FloatArray, softness: float) -> Model:
        """Return the soft value, its gradient and its Hessian at a total."""
        ...

    def constant(self, price: FloatArray) -> float:
        """Return what to add to the cheapest total at these prices to get a lower bound."""
        ...


class SumMeasure:
    """|S_123|^2 + S_4. A price is (p, 1); its bound is -|p|^2 / 4 plus the cheapest total."""

    def values(self, totals: FloatArray) -> FloatArray:
        """Return the exact values of totals (M, 4)."""
        return np.asarray((totals[:, :3] ** 2).sum(axis=1) + totals[:, 3])

    def smallest(self, totals: FloatArray, sure: bool = True) -> tuple[int, float]:  # noqa: ARG002
        """Return the index and the value of the smallest among totals (M, 4), which is sure."""
        values = self.values(totals)
        first = int(values.argmin())
        return first, float(values[first])

    def soft_value(self, total: FloatArray, softness: float) -> float:  # noqa: ARG002 - no kinks
        """Return the value at a total (4,)."""
        return float(total[:3] @ total[:3] + total[3])

    def model(self, total: FloatArray, softness: float) -> Model:
        """Return value, gradient and Hessian at a total."""
        gradient = np.append(2 * total[:3], 1.0)
        return Model(self.soft_value(total, softness), gradient, _SUM_HESSIAN)

    def constant(self, price: FloatArray) -> float:
        """Return minus the conjugate: -|p|^2 / 4."""
        return -float(price[:3] @ price[:3]) / 4


class EigenvalueMeasure:
    """Largest eigenvalue of a symmetric 3 x 3 matrix, kept as 6 numbers with inner products.

    A price is a positive semidefinite matrix U of trace one, and the cheapest total at it is a
    lower bound by itself: the eigenvalue is the maximum of <U, S> over all such U.
    """

    def values(self, totals: FloatArray) -> FloatArray:
        """Return the largest eigenvalues of totals (M, 6)."""
        return np.asarray(np.linalg.eigvalsh(unpack(totals))[:, -1])

    def smallest(self, totals: FloatArray, sure: bool = True) -> tuple[int, float]:
        """Return the index and the value of the smallest among totals (M, 6).

        The roots of the characteristic polynomial select those whose eigenvalues are computed.
        """
        kept = np.arange(len(totals))
        if len(totals) > _FEW:
            rough = _rough_values(totals)
            kept = np.flatnonzero(rough <= rough.min() * (1 + _ROUGH))
            if len(kept) > _FEW and not sure:
                kept = np.argpartition(rough, _FEW)[:_FEW]
        values = self.values(totals[kept])
        first = int(values.argmin())
        return int(kept[first]), float(values[first])

    def soft_value(self, total: FloatArray, softness: float) -> float:
        """Return softness * log trace exp(S / softness), at most softness * log 3 too much."""
        values = np.linalg.eigvalsh(unpack(total))
        return float(values[2] + softness * np.log(np.exp((values - values[2]) / softness).sum()))

    def model(self, total: FloatArray, softness: float) -> Model:
        """Return the soft value, its gradient, which is a valid price, and its Hessian."""
        values, vectors = np.linalg.eigh(unpack(total))
        share = np.exp((values - values[2]) / softness)
        whole = float(share.sum())
        share /= whole
        i, j = _PAIRS
        left, right = vectors[_ROW], vectors[_COLUMN]
        turned = (left[:, i] * right[:, j] + left[:, j] * right[:, i]).T * _SCALE
        dyads = 0.5 * turned[:3]
        i, j = i[3:], j[3:]
        apart = values[j] - values[i]
        level = apart <= 1e-6 * softness
        slope = (share[j] - share[i]) / np.where(level, 1.0, apart)
        slope = np.where(level, share[j] / softness, slope)
        mixed = turned[3:]
        spread = dyads[i] - dyads[j]
        weight = share[i] * share[j] / softness
        hessian = 0.5 * (mixed.T * slope) @ mixed + (spread.T * weight) @ spread
        return Model(float(values[2] + softness * np.log(whole)), share @ dyads, hessian)

    def constant(self, price: FloatArray) -> float:  # noqa: ARG002 - the same for every price
        """Return zero."""
        return 0.0


def pack(matrix: FloatArray) -> FloatArray:
    """Keep symmetric matrices (..., 3, 3) as (..., 6) with the same inner products."""
    return np.asarray(matrix[..., _ROW, _COLUMN] * _SCALE)


def unpack(vector: FloatArray) -> FloatArray:
    """Undo `pack`."""
    matrix = np.empty((*vector.shape[:-1], 3, 3))
    entries = vector / _SCALE
    matrix[..., _ROW, _COLUMN] = entries
    matrix[..., _COLUMN, _ROW] = entries
    return matrix


def principal(price: FloatArray) -> FloatArray:
    """Return the vector u >= 0, |u| = 1, whose u u^T is nearest to a packed price matrix."""
    u: FloatArray = np.abs(np.linalg.eigh(unpack(price))[1][:, 2])
    return u


def _rough_values(totals: FloatArray) -> FloatArray:
    """Largest eigenvalues of totals (M, 6) by the trigonometric formula."""
    middle = totals[:, :3].sum(axis=1) / 3
    shifted = totals.copy()
    shifted[:, :3] -= middle[:, None]
    spread = np.sqrt((shifted**2).sum(axis=1) / 6)
    unit = shifted / np.where(spread > 0, spread, 1.0)[:, None] / _SCALE
    a, b, c, d, e, f = unit.T
    half = 0.5 * (a * (b * c - f * f) - d * (d * c - f * e) + e * (d * f - b * e))
    return np.asarray(middle + 2 * spread * np.cos(np.arccos(np.clip(half, -1.0, 1.0)) / 3))


def dyad(alpha: FloatArray) -> FloatArray:
    """Pack alpha alpha^T for alpha (..., 3)."""
    return np.asarray(alpha[..., _ROW] * alpha[..., _COLUMN] * _SCALE)
