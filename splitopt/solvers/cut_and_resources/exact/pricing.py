"""The cheapest counts per row and cut when rows and groups of rows have limits on their counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from splitopt.problems.base import FloatArray, IntArray


@dataclass
class Limits:
    """Least and most devices: per row and cut (T, W), and per group and cut where branched on."""

    low: IntArray
    high: IntArray
    groups: dict[int, tuple[IntArray, IntArray]] = field(default_factory=dict)


def tighten(low: IntArray, high: IntArray, count: IntArray) -> bool:
    """Sharpen limits (T, W) in place, as each row must add up to its count; False if it cannot."""
    for _ in range(2):
        most = count[:, None] - (low.sum(axis=1, keepdims=True) - low)
        np.minimum(high, most, out=high)
        least = count[:, None] - (high.sum(axis=1, keepdims=True) - high)
        np.maximum(low, least, out=low)
    return bool((low <= high).all() and (low.sum(axis=1) <= count).all())


def cheapest(cost: FloatArray, limits: Limits, count: IntArray) -> IntArray:
    """Return the counts (T, W) of least cost under the rows' limits: fill up the cheap cuts."""
    order = np.argsort(cost, axis=1, kind="stable")
    room = np.take_along_axis(limits.high - limits.low, order, axis=1)
    before = np.cumsum(room, axis=1) - room
    missing = (count - limits.low.sum(axis=1))[:, None]
    fill = np.clip(missing - before, 0, room)
    used = limits.low.copy()
    np.put_along_axis(used, order, np.take_along_axis(used, order, axis=1) + fill, axis=1)
    return used


def enforce(
    cost: FloatArray, used: IntArray, low: IntArray, high: IntArray, least: IntArray, most: IntArray
) -> bool:
    """Move the counts (R, W) of one group so that its column sums lie in [least, most].

    Successive shortest paths on a graph of the cuts and one spare node: a step from cut a to cut b
    costs the smallest price difference over the rows that can still move. The counts must be the
    cheapest without the group's limits on entry; they are the cheapest with them on return.

    Returns
    -------
    bool
        False if no counts satisfy the limits.
    """
    width = cost.shape[1]
    kept = np.clip(used.sum(axis=0), least, most)
    while True:
        excess = used.sum(axis=0) - kept
        balance = np.append(excess, -excess.sum())
        sources = np.flatnonzero(balance > 0)
        if not len(sources):
            return True
        step, row = _steps(cost, used, low, high)
        full = np.full((width + 1, width + 1), np.inf)
        full[:width, :width] = step
        full[:width, width] = np.where(kept < most, 0.0, np.inf)
        full[width, :width] = np.where(kept > least, 0.0, np.inf)
        path = _shortest(full, int(sources[0]), balance)
        if path is None:
            return False
        amount = min(int(balance[path[0]]), int(-balance[path[-1]]))
        for a, b in pairwise(path):
            if b == width:
                amount = min(amount, int(most[a] - kept[a]))
            elif a == width:
                amount = min(amount, int(kept[b] - least[b]))
            else:
                r = row[a, b]
                amount = min(amount, int(used[r, a] - low[r, a]), int(high[r, b] - used[r, b]))
        for a, b in pairwise(path):
            if b == width:
                kept[a] += amount
            elif a == width:
                kept[b] -= amount
            else:
                used[row[a, b], a] -= amount
                used[row[a, b], b] += amount


def _steps(
    cost: FloatArray, used: IntArray, low: IntArray, high: IntArray
) -> tuple[FloatArray, IntArray]:
    """Cheapest move from each cut to each other, and the row that makes it."""
    leave = np.where(used > low, -cost, np.inf)
    enter = np.where(used < high, cost, np.inf)
    change = leave[:, :, None] + enter[:, None, :]
    row = change.argmin(axis=0)
    step = np.take_along_axis(change, row[None], axis=0)[0]
    np.fill_diagonal(step, np.inf)
    return step, row


def _shortest(step: FloatArray, source: int, balance: IntArray) -> list[int] | None:
    """Bellman-Ford from a node with too much to the nearest node with too little."""
    size = len(step)
    distance = np.full(size, np.inf)
    distance[source] = 0.0
    parent = np.full(size, -1)
    for _ in range(size - 1):
        reach = distance[:, None] + step
        via = reach.argmin(axis=0)
        found = reach[via, np.arange(size)]
        better = found < distance
        if not better.any():
            break
        parent[better] = via[better]
        distance = np.where(better, found, distance)
    wanted = np.where(balance < 0, distance, np.inf)
    end = int(wanted.argmin())
    if not np.isfinite(wanted[end]):
        return None
    path = [end]
    while path[-1] != source:
        path.append(int(parent[path[-1]]))
        if len(path) > size:
            return None
    return path[::-1]
