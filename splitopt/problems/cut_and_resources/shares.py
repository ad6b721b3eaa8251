"""The optimal shares for given cuts, in closed form for the sum and by one root for the makespan.

Notation: alpha is the (N, R) array of square roots of the seconds of R resources at the full
resource, and d the (N,) seconds that no share divides, for the cuts that were chosen.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray, IntArray

_EPS = float(np.finfo(np.float64).eps)
_LAST_STEP = 1e-10
"""A relative Newton step this small leaves an error of about its square."""


class Allocation(NamedTuple):
    """Optimal shares (N, R) and the exact derivatives of the optimal value for the same cuts.

    ``worth`` (R,) is minus the derivative by the logarithm of each resource, in s: 1 % more of
    resource i saves about 0.01 * worth[i]. ``weight`` (N,) is the derivative by each device's own
    seconds d: 1 for the sum; for the makespan, non-negative numbers whose sum is 1.
    """

    shares: FloatArray
    worth: FloatArray
    weight: FloatArray


def allocate_for_sum(alpha: FloatArray) -> Allocation:
    """Minimise the sum of latencies: shares proportional to alpha (Cauchy-Schwarz).

    The minimum of sum_n alpha_n^2 / share_n under sum_n share_n = 1 is (sum_n alpha_n)^2.
    """
    total = alpha.sum(axis=0)
    shares = np.divide(alpha, total, out=np.zeros_like(alpha), where=total > 0)
    return Allocation(_within_budget(shares), total**2, np.ones(len(alpha)))


def allocate_for_makespan(alpha: FloatArray, d: FloatArray) -> Allocation:
    """Minimise the largest latency.

    At the optimum T the prices u^2 of the resources make every device's cheapest service cost
    exactly the budget. With M(T) = sum_n alpha_n alpha_n^T / (T - d_n), the conditions read
    M(T) u = u with u >= 0: T is where the largest eigenvalue of an R x R matrix is one.
    Resources that no device links fall into blocks with an eigenvector each.
    """
    shares, worth, weight = np.zeros_like(alpha), np.zeros(alpha.shape[1]), np.zeros(len(alpha))
    busy = alpha.any(axis=1)
    if not busy.any():
        weight[d.argmax()] = 1.0
        return Allocation(shares, worth, weight)
    a, d_busy = alpha[busy], d[busy]
    latest = d_busy.max()
    slack = latest - d_busy
    blocks = _blocks(a)
    rows = [np.ascontiguousarray(a[:, block].T) for block in blocks]
    roots = [_deadline(row, slack) for row in rows]
    over = max(roots)
    idle = float(d[~busy].max(initial=-np.inf)) - latest
    for block, row, root in zip(blocks, rows, roots, strict=True):
        service = max(over, idle) + slack
        u = _perron(row, service)[1]
        spent = (u @ row) / service
        part = row * spent  # its sums are eigenvalue * u
        for i, share in zip(block, part, strict=True):
            shares[busy, i] = share / share.sum()
        if root == over and over >= idle and not weight.any():
            worth[block] = u**2 / np.sum(spent**2)
            weight[busy] = spent**2 / np.sum(spent**2)
    if idle > over:
        weight[np.flatnonzero(~busy)[d[~busy].argmax()]] = 1.0
    return Allocation(_within_budget(shares), worth, weight)


def _blocks(alpha: FloatArray) -> list[IntArray]:
    """Group the resources that are in use so that devices link all resources of a group."""
    used = (alpha > 0).astype(np.float64)
    return linked_groups(used.T @ used > 0)


def linked_groups(linked: BoolArray) -> list[IntArray]:
    """Return the groups of resources that chains of links (R, R) join, in order.

    A resource that is not linked to itself is used by nobody and in no group.
    """
    size, reach = len(linked), linked
    for _ in range(int(size).bit_length()):  # paths twice as long each time
        reach = reach.astype(np.float64) @ reach > 0
    groups = {tuple(np.flatnonzero(reach[i]).tolist()) for i in range(size) if linked[i, i]}
    return [np.array(group) for group in sorted(groups)]


def _perron(alpha: FloatArray, service: FloatArray) -> tuple[float, FloatArray]:
    """Largest eigenvalue of sum_n alpha_n alpha_n^T / service_n and its positive eigenvector.

    Here alpha is (k, N): few long rows are faster than many short ones.
    """
    values, vectors = np.linalg.eigh((alpha / service) @ alpha.T)
    return float(values[-1]), np.abs(vectors[:, -1])


def _deadline(alpha: FloatArray, slack: FloatArray) -> float:
    """Time t >= 0 beyond the slowest device's own work at which the largest eigenvalue is one.

    Here alpha is (k, N), as for `_perron`.

    The eigenvalue falls as t grows, and 1 / eigenvalue is concave in t (a ratio of that form for
    every fixed u, minimised over u), so Newton from the left of the root never overshoots it.
    """
    weight = (alpha**2).sum(axis=0)
    high = float(weight.sum())  # the trace bounds the eigenvalue: t = sum of weights is enough
    low = 0.0
    t = float((weight - slack).max(initial=0.0))  # each device alone needs t + slack >= weight
    least = high * 1e-18
    t = min(max(t, least), high)
    for _ in range(200):
        service = t + slack
        value, u = _perron(alpha, service)
        if value >= 1:
            low = t
        else:
            high = t
            if t <= least:  # another block, or a device that needs nothing, decides
                return t
        slope = float(np.sum(((u @ alpha) / service) ** 2))
        step = (value - 1) * value / slope  # Newton on 1 / eigenvalue - 1
        target = t + step
        if abs(step) <= _LAST_STEP * t:
            return target
        if not low < target < high:
            target = 0.5 * (low + high)
        if abs(target - t) <= 2 * _EPS * t:
            return target
        t = target
    return t


def _within_budget(shares: FloatArray) -> FloatArray:
    """Shrink by rounding error alone, so that no sum is above one."""
    total = shares.sum(axis=0)
    return shares / np.where(total > 1, total * (1 + 2 * _EPS), 1.0)
