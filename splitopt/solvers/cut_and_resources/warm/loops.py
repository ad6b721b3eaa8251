"""Loops over devices and cuts: the cheapest cuts at prices, and single moves from a plan.

Arrays: ``roots`` (N, L, R), square roots of the seconds of R resources; ``own`` (N, L), seconds
that no share divides, infinite where a cut is not allowed; ``here`` (N,), 1 for a device that takes
part and 0 for one that does not; ``cuts`` (N,), 0-based.
"""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.compiling import compiled, helper

THREE = 3


@helper
def _cheapest(roots: FloatArray, own: FloatArray, n: int, price: FloatArray) -> int:
    """Return the cut of device n with the least d + p . alpha; of equal ones the first."""
    layers, shared = roots.shape[1], roots.shape[2]
    best, cut = np.inf, 0
    if shared == THREE:
        p, q, r = price[0], price[1], price[2]
        for layer in range(layers):
            cost = own[n, layer] + (
                p * roots[n, layer, 0] + q * roots[n, layer, 1] + r * roots[n, layer, 2]
            )
            if cost < best:
                best, cut = cost, layer
    else:
        for layer in range(layers):
            cost = own[n, layer]
            for i in range(shared):
                cost += price[i] * roots[n, layer, i]
            if cost < best:
                best, cut = cost, layer
    return cut


@compiled
def price_sum(
    roots: FloatArray,
    own: FloatArray,
    here: IntArray,
    price: FloatArray,
    cuts: IntArray,
    total: FloatArray,
) -> None:
    """Choose every device its cheapest cut at prices (R,); `total` (R + 1,) takes the sums."""
    shared = roots.shape[2]
    total[:] = 0.0
    for n in range(len(own)):
        if here[n]:
            cut = _cheapest(roots, own, n, price)
            cuts[n] = cut
            for i in range(shared):
                total[i] += roots[n, cut, i]
            total[shared] += own[n, cut]


@compiled
def total_of(
    roots: FloatArray, own: FloatArray, here: IntArray, cuts: IntArray, total: FloatArray
) -> None:
    """Sum the roots and own seconds (R + 1,) of given cuts."""
    shared = roots.shape[2]
    total[:] = 0.0
    for n in range(len(own)):
        if here[n]:
            for i in range(shared):
                total[i] += roots[n, cuts[n], i]
            total[shared] += own[n, cuts[n]]


@compiled
def sweep_sum(
    roots: FloatArray, own: FloatArray, here: IntArray, cuts: IntArray, total: FloatArray
) -> int:
    """Move one device after the other to the cut that is best beside the others; count changes.

    With B the roots of all others, cut l costs |B + alpha_l|^2 + d_l = |B|^2 + 2 B . alpha_l +
    |alpha_l|^2 + d_l, of which the first term is the same for all cuts.
    """
    layers, shared = roots.shape[1], roots.shape[2]
    changes = 0
    rest = np.zeros(shared)
    for n in range(len(own)):
        if not here[n]:
            continue
        old = cuts[n]
        for i in range(shared):
            rest[i] = total[i] - roots[n, old, i]
        least, best, now = np.inf, old, np.inf
        if shared == THREE:
            p, q, r = 2 * rest[0], 2 * rest[1], 2 * rest[2]
            for layer in range(layers):
                a, b, c = roots[n, layer, 0], roots[n, layer, 1], roots[n, layer, 2]
                cost = own[n, layer] + (a * (p + a) + b * (q + b) + c * (r + c))
                if layer == old:
                    now = cost
                if cost < least:
                    least, best = cost, layer
        else:
            for layer in range(layers):
                cost = own[n, layer]
                for i in range(shared):
                    root = roots[n, layer, i]
                    cost += root * (2 * rest[i] + root)
                if layer == old:
                    now = cost
                if cost < least:
                    least, best = cost, layer
        if least < now * (1 - 1e-12):  # what is less is rounding
            changes += 1
            cuts[n] = best
            for i in range(shared):
                total[i] = rest[i] + roots[n, best, i]
            total[shared] += own[n, best] - own[n, old]
    return changes


@helper
def _dearness(roots: FloatArray, n: int, layer: int, u: FloatArray) -> float:
    """Return (u . alpha)^2."""
    root = 0.0
    for i in range(roots.shape[2]):
        root += u[i] * roots[n, layer, i]
    return root * root


@helper
def _dear_cut(
    roots: FloatArray, own: FloatArray, n: int, u: FloatArray, deadline: float
) -> tuple[int, float]:
    """Return the cut of device n with the least (u . alpha)^2 / (T - d), and that."""
    best, cut = np.inf, -1
    for layer in range(roots.shape[1]):
        left = deadline - own[n, layer]
        work = _dearness(roots, n, layer, u)
        if left > 0:
            cost = work / left
        elif left == 0 and work == 0:
            cost = 0.0
        else:
            cost = np.inf
        if cost < best:
            best, cut = cost, layer
    return cut, best


@helper
def _add(matrix: FloatArray, roots: FloatArray, n: int, layer: int, weight: float) -> None:
    """Add weight alpha alpha^T to a matrix (R, R)."""
    shared = roots.shape[2]
    for i in range(shared):
        part = weight * roots[n, layer, i]
        for j in range(shared):
            matrix[i, j] += part * roots[n, layer, j]


@compiled
def price_deadline(
    roots: FloatArray,
    own: FloatArray,
    here: IntArray,
    u: FloatArray,
    deadline: float,
    cuts: IntArray,
    matrix: FloatArray,
    costs: FloatArray,
) -> None:
    """Choose every device the cut with the least (u . alpha)^2 / (T - d) at a deadline T.

    `matrix` (R, R) takes the sum of alpha alpha^T / (T - d), and `costs` (2,) the sums of the costs
    and of costs / (T - d); they are infinite where a device has no cut in time.
    """
    matrix[:] = 0.0
    costs[:] = 0.0
    for n in range(len(own)):
        if not here[n]:
            continue
        cut, cost = _dear_cut(roots, own, n, u, deadline)
        if cut < 0:
            costs[:] = np.inf
            return
        cuts[n] = cut
        left = deadline - own[n, cut]
        costs[0] += cost
        if left > 0:
            costs[1] += cost / left
            _add(matrix, roots, n, cut, 1.0 / left)


@compiled
def matrix_of(
    roots: FloatArray,
    own: FloatArray,
    here: IntArray,
    cuts: IntArray,
    deadline: float,
    matrix: FloatArray,
) -> None:
    """Sum alpha alpha^T / (T - d), (R, R), of given cuts; T is no earlier than any d."""
    matrix[:] = 0.0
    for n in range(len(own)):
        if here[n]:
            left = deadline - own[n, cuts[n]]
            if left > 0:
                _add(matrix, roots, n, cuts[n], 1.0 / left)


@helper
def _largest(matrix: FloatArray, u: FloatArray, work: FloatArray) -> float:
    """Return about the largest eigenvalue of a matrix (R, R), by a few powers from u, |u| = 1."""
    shared = len(u)
    value = 0.0
    for i in range(shared):
        work[i] = u[i]
    for _ in range(6):
        size = 0.0
        value = 0.0
        for i in range(shared):
            part = 0.0
            for j in range(shared):
                part += matrix[i, j] * work[j]
            work[shared + i] = part
            value += part * work[i]
            size += part * part
        if size <= 0:
            return 0.0
        scale = 1.0 / np.sqrt(size)
        for i in range(shared):
            work[i] = work[shared + i] * scale
    return value


@compiled
def sweep_deadline(
    roots: FloatArray,
    own: FloatArray,
    here: IntArray,
    u: FloatArray,
    deadline: float,
    cuts: IntArray,
    matrix: FloatArray,
) -> int:
    """Move one device after the other to its dearest-saving cut while that lowers the eigenvalue.

    The largest eigenvalue of sum alpha alpha^T / (T - d) is one at the makespan T of the plan: what
    lowers it at that T makes the plan end sooner.
    """
    shared = len(u)
    work = np.zeros(2 * shared)
    trial = np.zeros((shared, shared))
    value = _largest(matrix, u, work)
    changes = 0
    for n in range(len(own)):
        if not here[n]:
            continue
        old = cuts[n]
        left = deadline - own[n, old]
        now = _dearness(roots, n, old, u) / left if left > 0 else 0.0
        cut, cost = _dear_cut(roots, own, n, u, deadline)
        if cut < 0 or cut == old or not cost < now * (1 - 1e-12):
            continue
        trial[:] = matrix
        if left > 0:
            _add(trial, roots, n, old, -1.0 / left)
        after = deadline - own[n, cut]
        if after > 0:
            _add(trial, roots, n, cut, 1.0 / after)
        reached = _largest(trial, u, work)
        if reached < value * (1 - 1e-13):
            changes += 1
            cuts[n] = cut
            matrix[:] = trial
            value = reached
    return changes
