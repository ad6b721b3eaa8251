"""The two objectives as convex functions of a sum over devices, and what their dual prices prove.

Every device that uses a cut adds a vector to a total S, and the objective is a function of S:

* sum of latencies: the vector is (alpha, d), the roots of the seconds of R resources and the own
  seconds, and the value is S_1^2 + ... + S_R^2 + S_(R+1) (DP-MORA Eq. 19 with the best shares);
* makespan at a deadline T: the vector is the matrix alpha alpha^T / (T - d), and the value is the
  largest eigenvalue of S: the deadline can be met exactly if it is at most one. The matrices are
  block diagonal where resources do not interact, see `packing`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, Protocol

import numpy as np

from splitopt.problems.base import FloatArray
from splitopt.solvers.cut_and_resources.relaxation.packing import THREE, Group, Packing

EPS = float(np.finfo(np.float64).eps)
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
    """|S_1..R|^2 + S_(R+1). A price is (p, 1); its bound is -|p|^2 / 4 plus the cheapest total."""

    def values(self, totals: FloatArray) -> FloatArray:
        """Return the exact values of totals (M, R + 1)."""
        return np.asarray((totals[:, :-1] ** 2).sum(axis=1) + totals[:, -1])

    def smallest(self, totals: FloatArray, sure: bool = True) -> tuple[int, float]:  # noqa: ARG002
        """Return the index and the value of the smallest among totals (M, R + 1), which is sure."""
        values = self.values(totals)
        first = int(values.argmin())
        return first, float(values[first])

    def soft_value(self, total: FloatArray, softness: float) -> float:  # noqa: ARG002 - no kinks
        """Return the value at a total (R + 1,)."""
        return float(total[:-1] @ total[:-1] + total[-1])

    def model(self, total: FloatArray, softness: float) -> Model:
        """Return value, gradient and Hessian at a total."""
        gradient = np.append(2 * total[:-1], 1.0)
        return Model(self.soft_value(total, softness), gradient, _sum_hessian(len(total)))

    def constant(self, price: FloatArray) -> float:
        """Return minus the conjugate: -|p|^2 / 4."""
        return -float(price[:-1] @ price[:-1]) / 4


@cache
def _sum_hessian(size: int) -> FloatArray:
    hessian = np.diag(np.append(np.full(size - 1, 2.0), 0.0))
    hessian.setflags(write=False)
    return hessian


@dataclass(frozen=True)
class EigenvalueMeasure:
    """Largest eigenvalue of a symmetric matrix, packed as K numbers with inner products.

    A price is a positive semidefinite matrix U of trace one, and the cheapest total at it is a
    lower bound by itself: the eigenvalue is the maximum of <U, S> over all such U.

    Parameters
    ----------
    packing
        The blocks of the matrices.
    """

    packing: Packing = THREE

    def values(self, totals: FloatArray) -> FloatArray:
        """Return the largest eigenvalues of totals (M, K)."""
        if (one := self.packing.alone) is not None:
            return np.asarray(np.linalg.eigvalsh(one.matrix(totals))[:, -1])
        found = np.full(len(totals), -np.inf)
        for group in self.packing.groups:
            np.maximum(found, _largest(group.matrices(totals)), out=found)
        return found

    def smallest(self, totals: FloatArray, sure: bool = True) -> tuple[int, float]:
        """Return the index and the value of the smallest among totals (M, K).

        The roots of the characteristic polynomials select those whose eigenvalues are computed.
        """
        kept = np.arange(len(totals))
        if len(totals) > _FEW:
            rough = self._rough_values(totals)
            kept = np.flatnonzero(rough <= rough.min() * (1 + _ROUGH))
            if len(kept) > _FEW and not sure:
                kept = np.argpartition(rough, _FEW)[:_FEW]
        values = self.values(totals[kept])
        first = int(values.argmin())
        return int(kept[first]), float(values[first])

    def _rough_values(self, totals: FloatArray) -> FloatArray:
        if (one := self.packing.alone) is not None and one.size == 3:
            return _rough_values(totals, one.scale)
        found = np.full(len(totals), -np.inf)
        for group in self.packing.groups:
            if group.size == 3:
                rough = _rough_values(totals[:, group.places], group.scale).max(axis=1)
            else:
                rough = _largest(group.matrices(totals))
            np.maximum(found, rough, out=found)
        return found

    def soft_value(self, total: FloatArray, softness: float) -> float:
        """Return softness * log trace exp(S / softness), at most softness * log R too much."""
        if (one := self.packing.alone) is not None:
            values = np.linalg.eigvalsh(one.matrix(total))
        else:
            groups = self.packing.groups
            parts = [np.linalg.eigvalsh(group.matrices(total)).ravel() for group in groups]
            values = np.concatenate(parts)
        top = values.max()
        return float(top + softness * np.log(np.exp((values - top) / softness).sum()))

    def model(self, total: FloatArray, softness: float) -> Model:
        """Return the soft value, its gradient, which is a valid price, and its Hessian."""
        if (one := self.packing.alone) is not None:
            return _model_of_one(one, total, softness)
        groups = self.packing.groups
        solved = [np.linalg.eigh(group.matrices(total)) for group in groups]
        top = max(float(values.max()) for values, _ in solved)
        weights = [np.exp((values - top) / softness) for values, _ in solved]
        whole = sum(float(weight.sum()) for weight in weights)
        gradient = np.zeros(len(total))
        hessian = np.zeros((len(total), len(total)))
        shares, dyads = [], []
        for group, (values, vectors), weight in zip(groups, solved, weights, strict=True):
            share = weight / whole
            own, curve = _turned(group, values, vectors, share, softness)
            count, size = share.shape
            gradient[group.places] = np.einsum("gi,gik->gk", share, own)
            hessian[group.places[:, :, None], group.places[:, None, :]] = curve
            wide = np.zeros((count, size, len(total)))
            wide[
                np.arange(count)[:, None, None], np.arange(size)[:, None], group.places[:, None]
            ] = own
            shares.append(share.ravel())
            dyads.append(wide.reshape(-1, len(total)))
        apart = np.concatenate(dyads) - gradient
        hessian += (apart.T * (np.concatenate(shares) / softness)) @ apart
        return Model(float(top + softness * np.log(whole)), gradient, hessian)

    def constant(self, price: FloatArray) -> float:  # noqa: ARG002 - the same for every price
        """Return zero."""
        return 0.0


def _model_of_one(group: Group, total: FloatArray, softness: float) -> Model:
    """Return what `EigenvalueMeasure.model` does, where all resources are in one block."""
    values, vectors = np.linalg.eigh(group.matrix(total))
    top, size = values[-1], group.size
    share = np.exp((values - top) / softness)
    whole = float(share.sum())
    share /= whole
    i, j = group.row, group.column
    left, right = vectors[group.row], vectors[group.column]
    turned = (left[:, i] * right[:, j] + left[:, j] * right[:, i]).T * group.scale
    dyads = 0.5 * turned[:size]
    i, j = i[size:], j[size:]
    apart = values[j] - values[i]
    level = apart <= 1e-6 * softness
    slope = (share[j] - share[i]) / np.where(level, 1.0, apart)
    slope = np.where(level, share[j] / softness, slope)
    mixed = turned[size:]
    spread = dyads[i] - dyads[j]
    weight = share[i] * share[j] / softness
    hessian = 0.5 * (mixed.T * slope) @ mixed + (spread.T * weight) @ spread
    return Model(float(top + softness * np.log(whole)), share @ dyads, hessian)


def _turned(
    group: Group, values: FloatArray, vectors: FloatArray, share: FloatArray, softness: float
) -> tuple[FloatArray, FloatArray]:
    """Return G blocks' packed dyads of eigenvectors, and how their Hessians turn these."""
    i, j = group.row, group.column
    left, right = vectors[:, group.row], vectors[:, group.column]
    turned = left[:, :, i] * right[:, :, j] + left[:, :, j] * right[:, :, i]
    turned = turned.transpose(0, 2, 1) * group.scale
    size = group.size
    i, j = i[size:], j[size:]
    apart = values[:, j] - values[:, i]
    level = apart <= 1e-6 * softness
    slope = (share[:, j] - share[:, i]) / np.where(level, 1.0, apart)
    slope = np.where(level, share[:, j] / softness, slope)
    mixed = turned[:, size:]
    curve = 0.5 * (mixed.transpose(0, 2, 1) * slope[:, None]) @ mixed
    return 0.5 * turned[:, :size], curve


def _largest(blocks: FloatArray) -> FloatArray:
    """Return the largest eigenvalue (M,) of any of some blocks (M, G, r, r)."""
    if blocks.shape[-1] == 1:
        return np.asarray(blocks[..., 0, 0].max(axis=1))
    return np.asarray(np.linalg.eigvalsh(blocks)[..., -1].max(axis=1))


def pack(matrix: FloatArray) -> FloatArray:
    """Keep symmetric matrices (..., 3, 3) as (..., 6) with the same inner products."""
    three = THREE.groups[0]
    return np.asarray(matrix[..., three.row, three.column] * three.scale)


def unpack(vector: FloatArray) -> FloatArray:
    """Undo `pack`."""
    return THREE.groups[0].matrix(vector)


def principal(price: FloatArray) -> FloatArray:
    """Return the vector u >= 0, |u| = 1, whose u u^T is nearest to a packed price matrix."""
    return THREE.principal(price)


def _rough_values(totals: FloatArray, scale: FloatArray) -> FloatArray:
    """Largest eigenvalues of 3 x 3 matrices (..., 6), packed, by the trigonometric formula."""
    middle = totals[..., :3].sum(axis=-1) / 3
    shifted = totals.copy()
    shifted[..., :3] -= middle[..., None]
    spread = np.sqrt((shifted**2).sum(axis=-1) / 6)
    unit = shifted / np.where(spread > 0, spread, 1.0)[..., None] / scale
    a, b, c, d, e, f = np.moveaxis(unit, -1, 0)
    half = 0.5 * (a * (b * c - f * f) - d * (d * c - f * e) + e * (d * f - b * e))
    return np.asarray(middle + 2 * spread * np.cos(np.arccos(np.clip(half, -1.0, 1.0)) / 3))


def dyad(alpha: FloatArray) -> FloatArray:
    """Pack alpha alpha^T for alpha (..., 3)."""
    return THREE.dyad(alpha)
