"""Cuts that exceed side budgets, moved until they keep them: the cheapest relief first."""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources import CutAndResources


def repaired(problem: CutAndResources, cuts: IntArray, cost: FloatArray) -> IntArray | None:
    """Move devices to other cuts until all budgets are kept, the cheapest relief first.

    With one budget this ends with cuts that keep it whenever there are any: as long as it is
    exceeded, some device has a cut that takes less. With several it may fail.

    Parameters
    ----------
    cuts
        Shape (N,), 1..L, allowed.
    cost
        Shape (N, L): what a cut costs its device, in any unit; infinite is worse than the others.

    Returns
    -------
    Cuts (N,), None where none were found.
    """
    budgets = problem.budgets
    if budgets is None:
        return cuts
    table, rows, cuts = budgets.table(), np.arange(len(cuts)), cuts.copy()
    finite = np.isfinite(cost)
    cost = np.where(finite, cost, 1e3 * cost.max(initial=1.0, where=finite))
    for _ in range(8 * problem.layers + 32):
        used = budgets.used(cuts)
        over = used > budgets.room
        if not over.any():
            return cuts
        weight = np.where(over, 1 / budgets.scale, 0.0)
        size = table @ weight
        relief = size[rows, cuts - 1][:, None] - size
        price = np.maximum(cost - cost[rows, cuts - 1][:, None], 0.0)
        usable = problem.allowed & (relief > 0)
        ratio = np.divide(price, relief, out=np.full_like(price, np.inf), where=usable)
        best = ratio.argmin(axis=1)
        ratio, relief = ratio[rows, best], relief[rows, best]
        order = np.argsort(ratio, kind="stable")
        order = order[np.isfinite(ratio[order])]
        if not order.size:
            return None
        missing = float(((used - budgets.room) * weight).sum())
        enough = int(np.searchsorted(np.cumsum(relief[order]), missing)) + 1
        chosen = order[:enough]
        cuts[chosen] = best[chosen] + 1
    return None
