"""The compiled search for the cluster that gains most at given prices: best first, over cells.

A cluster's seconds are ``sum_p weight_p T_p``, where T_p is the length of its phase p and always a
level ``fixed + spectral / x`` of one of its devices. A cell is a range of levels per phase. All
clusters of K devices whose phases are in a cell take at least its low corner, and each of their
devices needs at least what it needs to be as fast as the high corner asks; so the cell's reduced
cost is at least

    low corner - max {sum of prices of K devices : their needs at the high corner are at most C}

which is a knapsack, see the module `choice`. The choice that solves it is a cluster, whose true
reduced cost bounds the search from above.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.compiling import compiled, helper
from splitopt.solvers.cluster_and_spectrum.set_partition.choice import (
    PricingRequest,
    best_choice,
    seconds_of_choice,
    workspace_for,
)


@helper
def push(heap: IntArray, count: int, keys: FloatArray, slot: int) -> int:
    """Add a slot to a heap of slots ordered by their keys; return the new count."""
    place = count
    while place > 0 and keys[heap[(place - 1) // 2]] > keys[slot]:
        heap[place] = heap[(place - 1) // 2]
        place = (place - 1) // 2
    heap[place] = slot
    return count + 1


@helper
def pop(heap: IntArray, count: int, keys: FloatArray) -> int:
    """Remove the slot with the smallest key; return the new count."""
    count -= 1
    last, place = heap[count], 0
    while True:
        child = 2 * place + 1
        if child >= count:
            break
        if child + 1 < count and keys[heap[child + 1]] < keys[heap[child]]:
            child += 1
        if keys[heap[child]] >= keys[last]:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = last
    return count


@helper
def twice(values: Any) -> Any:
    """Return an array with twice the room."""
    longer = np.empty(2 * len(values), values.dtype)
    for i in range(len(values)):
        longer[i] = values[i]
    return longer


@helper
def twice_rows(values: IntArray) -> IntArray:
    """Return a table with room for twice the rows."""
    longer = np.empty((2 * values.shape[0], values.shape[1]), values.dtype)
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            longer[i, j] = values[i, j]
    return longer


@helper
def corner(levels: FloatArray, weights: FloatArray, ends: IntArray, cell: int) -> float:
    """Seconds of a cluster whose phases are the levels at the indices ``ends[cell]`` (D,)."""
    total = 0.0
    for phase in range(len(weights)):
        total += weights[phase] * levels[ends[cell, phase]]
    return total


@helper
def split(
    levels: FloatArray, weights: FloatArray, low: IntArray, high: IntArray
) -> tuple[int, int]:
    """Choose the phase that is widest in seconds, and its last level in the lower half.

    The phase is -1 where the cell is a single point.
    """
    widest, phase = -1.0, -1
    for p in range(len(low)):
        width = weights[p] * (levels[high[p]] - levels[low[p]])
        if high[p] > low[p] and width > widest:
            widest, phase = width, p
    if phase < 0:
        return -1, 0
    first, last = low[phase], high[phase]
    half = levels[first] + 0.5 * (levels[last] - levels[first])
    least, most = first, last - 1
    while least < most:
        middle = (least + most + 1) // 2
        if levels[middle] <= half:
            least = middle
        else:
            most = middle - 1
    return phase, least


@helper
def keep(found: IntArray, reduced: FloatArray, count: int, cluster: IntArray, value: float) -> int:
    """Record a cluster and its reduced cost; where there is no more room, instead of the worst."""
    place = count
    if count == len(reduced):
        place = 0
        for i in range(count):
            if reduced[i] > reduced[place]:
                place = i
        if reduced[place] <= value:
            return count
    else:
        count += 1
    for k in range(len(cluster)):
        found[place, k] = cluster[k]
    reduced[place] = value
    return count


@compiled
def search_cells(
    request: PricingRequest, cutoff: float, max_cells: int, found: IntArray, reduced: FloatArray
) -> tuple[float, int, int]:
    """Search the clusters of K devices for reduced costs below `cutoff`.

    Parameters
    ----------
    max_cells
        Stop after so many cells; the bound is then weaker but valid.
    found, reduced
        Room for clusters, shape (F, K), and their reduced costs; the best ones are noted.

    Returns
    -------
    tuple
        A lower bound on ``min(cutoff, least reduced cost)``; the number of clusters in `found`;
        the number of cells that were split.
    """
    weights, levels, starts, phases = (
        request.weights,
        request.levels,
        request.starts,
        len(request.weights),
    )
    space = workspace_for(request, found.shape[1])
    bound, gain, heap = np.empty(1024), np.empty(1024), np.empty(1024, np.int64)
    low, high = np.empty((1024, phases), np.int64), np.empty((1024, phases), np.int64)
    for p in range(phases):
        low[0, p], high[0, p] = starts[p], starts[p + 1] - 1
    bound[0], gain[0], heap[0] = -np.inf, -np.inf, 0
    # A slot holds a cell: its levels low..high of each phase, its bound, and `gain`, the knapsack's
    # value at its high corner, which bounds what prices any cluster in it can gain. `limit` is the
    # least reduced cost found; cells with a bound of at least that need no look.
    slots, waiting, cells, count = 1, 1, 0, 0
    upper, thresholds, limit = np.empty(phases, np.int64), np.empty(phases), cutoff
    while waiting > 0 and bound[heap[0]] < limit and cells < max_cells:
        slot = heap[0]
        waiting = pop(heap, waiting, bound)
        phase, middle = -1, 0
        if cells > 0:  # the first cell of all is not split but bounded
            phase, middle = split(levels, weights, low[slot], high[slot])
            if phase < 0:
                continue
        cells += 1
        for p in range(phases):
            upper[p] = middle if p == phase else high[slot, p]
            thresholds[p] = levels[upper[p]]
        # The lower half (or the first cell): its high corner asks more, so its gain is new.
        value = best_choice(request, thresholds, space)
        lower = corner(levels, weights, low, slot)
        new = slots if phase >= 0 else slot
        if value > -np.inf and lower - value < limit:
            cost = seconds_of_choice(request, space) - value
            if cost < cutoff:
                count = keep(found, reduced, count, space.chosen, cost)
                limit = min(limit, cost)
            if lower - value < limit:
                if slots == len(heap):
                    bound, gain, heap = twice(bound), twice(gain), twice(heap)
                    low, high = twice_rows(low), twice_rows(high)
                bound[new], gain[new] = lower - value, value
                for p in range(phases):
                    low[new, p], high[new, p] = low[slot, p], upper[p]
                waiting = push(heap, waiting, bound, new)
                if new == slots:
                    slots += 1
        if phase < 0:
            continue
        # The upper half keeps the high corner, and so the gain; only its low corner rises.
        low[slot, phase] = middle + 1
        rest = corner(levels, weights, low, slot) - gain[slot]
        if rest < limit:
            bound[slot] = rest
            waiting = push(heap, waiting, bound, slot)
    if waiting > 0:
        limit = min(limit, bound[heap[0]])
    return limit, count, cells
