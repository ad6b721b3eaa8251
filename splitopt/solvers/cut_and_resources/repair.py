"""Cuts that exceed side budgets, moved until they keep them: the cheapest relief first."""

from __future__ import annotations

from typing import TypeVar, cast

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.cut_and_resources.budgets import Budgets
from splitopt.problems.cut_and_resources.grouped import GroupBudgets
from splitopt.problems.cut_and_resources.parts import GroupCuts

C = TypeVar("C")


def repaired(problem: CutAndResources, cuts: C, cost: FloatArray) -> C | None:
    """Move devices to other cuts until all budgets are kept, the cheapest relief first.

    With one budget this ends with cuts that keep it whenever there are any: as long as it is
    exceeded, some device has a cut that takes less. With several it may fail: what relieves one,
    such as the seats of a server, may take from another, so that devices then move one by one,
    each where all budgets together are exceeded by less.

    Parameters
    ----------
    cuts
        Shape (N,), 1..L, allowed; `GroupCuts` where decisions are by group.
    cost
        Shape (N, L) or (G, L): what a cut costs its device, in any unit; infinite is worse than the
        others.

    Returns
    -------
    Cuts like those given, None where none were found.
    """
    budgets = problem.budgets
    if budgets is None:
        return cuts
    if isinstance(budgets, GroupBudgets):
        groups = _repaired_groups(budgets, problem, cast(GroupCuts, cuts), _finite(cost))
        return cast(C | None, groups)
    return cast(C | None, _repaired_devices(budgets, problem, cast(IntArray, cuts), _finite(cost)))


def _repaired_devices(
    budgets: Budgets, problem: CutAndResources, cuts: IntArray, cost: FloatArray
) -> IntArray | None:
    table, rows, cuts = budgets.table(), np.arange(len(cuts)), cuts.copy()
    start = cuts.copy()
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
            break
        missing = float(((used - budgets.room) * weight).sum())
        enough = int(np.searchsorted(np.cumsum(relief[order]), missing)) + 1
        chosen = order[:enough]
        cuts[chosen] = best[chosen] + 1
    return None if len(budgets) == 1 else _one_by_one(problem, budgets, start, cost)


def _one_by_one(
    problem: CutAndResources, budgets: Budgets, cuts: IntArray, cost: FloatArray
) -> IntArray | None:
    """Move one device at a time, where the excess over all budgets falls at the least cost."""
    table, rows = budgets.table() / budgets.scale, np.arange(len(cuts))
    room = budgets.room / budgets.scale
    for _ in range(4 * len(cuts)):
        used = table[rows, cuts - 1].sum(axis=0)
        if not (used > room).any():
            return cuts
        moved = used + table - table[rows, cuts - 1][:, None]
        excess = np.maximum(moved - room, 0.0).sum(axis=2)
        relief = np.maximum(used - room, 0.0).sum() - excess
        price = np.maximum(cost - cost[rows, cuts - 1][:, None], 0.0)
        usable = problem.allowed & (relief > 1e-12)
        ratio = np.divide(price, relief, out=np.full_like(price, np.inf), where=usable)
        device, choice = divmod(int(ratio.argmin()), ratio.shape[1])
        if not np.isfinite(ratio[device, choice]):
            return None
        cuts[device] = choice + 1
    return None


def _finite(cost: FloatArray) -> FloatArray:
    finite = np.isfinite(cost)
    return np.where(finite, cost, 1e3 * cost.max(initial=1.0, where=finite))


def _repaired_groups(
    budgets: GroupBudgets, problem: CutAndResources, cuts: GroupCuts, cost: FloatArray
) -> GroupCuts | None:
    """Move as many devices of each part as are needed; see `repaired`."""
    counts: IntArray = np.zeros(problem.allowed.shape, dtype=np.int64)
    np.add.at(counts, (cuts.group, cuts.cut - 1), cuts.devices)
    for _ in range(8 * problem.layers + 32):
        parts = GroupCuts.of_counts(counts)
        used = budgets.used(parts)
        over = used > budgets.room
        if not over.any():
            return parts
        weight = np.where(over, 1 / budgets.scale, 0.0)
        group, now, rows = parts.group, parts.cut - 1, np.arange(len(parts.cut))
        size = budgets.use[group] @ weight
        relief = size[rows, now][:, None] - size
        price = np.maximum(cost[group] - cost[group, now][:, None], 0.0)
        usable = problem.allowed[group] & (relief > 0)
        ratio = np.divide(price, relief, out=np.full_like(price, np.inf), where=usable)
        best = ratio.argmin(axis=1)
        ratio, relief = ratio[rows, best], relief[rows, best]
        order = np.argsort(ratio, kind="stable")
        order = order[np.isfinite(ratio[order])]
        if not order.size:
            return None
        missing = float(((used - budgets.room) * weight).sum())
        for k in order:
            moved = min(int(parts.devices[k]), int(np.ceil(missing / relief[k])))
            counts[group[k], now[k]] -= moved
            counts[group[k], best[k]] += moved
            missing -= moved * relief[k]
            if missing <= 0:
                break
    return None
