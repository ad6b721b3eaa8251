"""Lower bounds of `CutAndResources` in closed form: two passes over the tables, no search.

Notation: alpha, shape (R,), holds the square roots of the seconds that a device needs of R
resources with a cut, and d its own seconds. The best shares x of a resource r cost

    sum_n alpha_nr^2 / x_nr = (sum_n alpha_nr)^2 = A_r^2                    (Cauchy-Schwarz)

so that the sum of latencies under any cuts is |A|^2 + D, D the sum of d. For any P, shape (R,),
|A - P|^2 >= 0 gives |A|^2 >= 2 P . A - |P|^2, whose right-hand side is a sum over devices:

    |A|^2 + D  >=  -|P|^2 + sum_n min_l (d_nl + 2 P . alpha_nl)             (1)

Here P is the A of the cuts that are fastest for a device alone. A device with everything for
itself, share 1 of each resource, takes |alpha|^2 + d; nobody can be faster than that:

    latency_n  >=  min_l (|alpha_nl|^2 + d_nl)                              (2)

The sum of latencies is at least (1) and the sum over (2). The makespan is at least the largest
of (2) and, as no largest number is below the mean, a bound on the sum over the number of devices.
Budgets only take cuts away, so that ignoring them leaves the bounds valid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from splitopt.problems.base import FloatArray
from splitopt.problems.cut_and_resources.classes import DeviceClasses

_ROUNDING = 1e-12
"""Relative error allowed for the sums; it is above that of a million terms added up."""

Blocks = Callable[[], Iterator[DeviceClasses]]
"""Passes over all classes of devices once, some of them at a time."""


def cheap_bound(objective: str, blocks: Blocks) -> float:
    """Compute the larger of the bounds (1) and (2) of devices that all have an allowed cut.

    Parameters
    ----------
    objective
        ``"sum"`` or ``"makespan"``, of plain seconds.
    blocks
        The devices.
    """
    devices, slowest = 0, 0.0
    roots: list[FloatArray] = []
    alone_sums = [0.0]
    for block in blocks():
        alpha, device_s = _roots(block)
        alone = (alpha**2).sum(axis=0) + device_s
        cut = alone.argmin(axis=1)
        rows = np.arange(len(cut))
        least = alone[rows, cut]
        roots.append(alpha[:, rows, cut] @ block.devices)  # the block's part of A
        alone_sums.append(float(least @ block.devices))
        slowest = max(slowest, float(least.max()))
        devices += int(block.devices.sum())
    total = np.sum(roots, axis=0)
    bound = max(_priced(total, blocks), math.fsum(alone_sums) * (1 - _ROUNDING))
    if objective == "sum":
        return bound
    return max(slowest, bound / devices) * (1 - _ROUNDING)


def _priced(total: FloatArray, blocks: Blocks) -> float:
    """Compute the right-hand side of (1) for P = `total`, shape (R,)."""
    cheapest = 0.0
    for block in blocks():
        alpha, device_s = _roots(block)
        cost = np.tensordot(2 * total, alpha, axes=1) + device_s
        cheapest += float(cost.min(axis=1) @ block.devices)
    square = float(total @ total)
    return cheapest - square - _ROUNDING * (cheapest + square)


def _roots(block: DeviceClasses) -> tuple[FloatArray, FloatArray]:
    """Return alpha (R, C, L), and d (C, L), infinite where a cut is not allowed."""
    own_s = np.where(block.allowed, block.seconds[-1], np.inf)
    return np.sqrt(block.seconds[:-1]), own_s
