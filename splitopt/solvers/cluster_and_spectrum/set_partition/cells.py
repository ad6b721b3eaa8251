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

from typing import Any, NamedTuple

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


class Cells(NamedTuple):
    """Slots, each of which has room for a cell of D phases.

    Parameters
    ----------
    low, high
        Shape (S, D): the first and the last level of each phase.
    bound
        Shape (S,): a lower bound on the reduced cost of every cluster in the cell.
    gain
        Shape (S,): the knapsack's value at the high corner, the most that K devices can be worth.
    heap
        Shape (S,): the slots of waiting cells, the one with the least bound first.
    """

    low: IntArray
    high: IntArray
    bound: FloatArray
    gain: FloatArray
    heap: IntArray


@helper
def first_cell(starts: IntArray) -> Cells:
    """Return slots of which the first holds the cell of all levels.

    Phase p has those from ``starts[p]`` to before ``starts[p + 1]``.
    """
    phases = len(starts) - 1
    cells = Cells(
        np.empty((1024, phases), np.int64),
        np.empty((1024, phases), np.int64),
        np.empty(1024),
        np.empty(1024),
        np.empty(1024, np.int64),
    )
    for p in range(phases):
        cells.low[0, p], cells.high[0, p] = starts[p], starts[p + 1] - 1
    cells.bound[0], cells.gain[0], cells.heap[0] = -np.inf, -np.inf, 0
    return cells


@helper
def with_twice_the_slots(cells: Cells) -> Cells:
    """Return the same cells in twice as many slots."""
    return Cells(
        twice_rows(cells.low),
        twice_rows(cells.high),
        twice(cells.bound),
        twice(cells.gain),
        twice(cells.heap),
    )


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
    weights, levels, phases = request.weights, request.levels, len(request.weights)
    space, cells = workspace_for(request, found.shape[1]), first_cell(request.starts)
    # `limit` is the least reduced cost found; cells with a bound of at least that need no look.
    slots, waiting, searched, count = 1, 1, 0, 0
    upper, thresholds, limit = np.empty(phases, np.int64), np.empty(phases), cutoff
    while waiting > 0 and cells.bound[cells.heap[0]] < limit and searched < max_cells:
        slot = cells.heap[0]
        waiting = pop(cells.heap, waiting, cells.bound)
        phase, middle = -1, 0
        if searched > 0:  # the first cell of all is not split but bounded
            phase, middle = split(levels, weights, cells.low[slot], cells.high[slot])
            if phase < 0:
                continue
        searched += 1
        for p in range(phases):
            upper[p] = middle if p == phase else cells.high[slot, p]
            thresholds[p] = levels[upper[p]]
        # The lower half (or the first cell): its high corner asks more, so its gain is new.
        value = best_choice(request, thresholds, space)
        lower = corner(levels, weights, cells.low, slot)
        new = slots if phase >= 0 else slot
        if value > -np.inf and lower - value < limit:
            # The choice that solves the knapsack is a cluster: its true reduced cost is reached.
            cost = seconds_of_choice(request, space) - value
            if cost < cutoff:
                count = keep(found, reduced, count, space.chosen, cost)
                limit = min(limit, cost)
            if lower - value < limit:
                if slots == len(cells.heap):
                    cells = with_twice_the_slots(cells)
                cells.bound[new], cells.gain[new] = lower - value, value
                for p in range(phases):
                    cells.low[new, p], cells.high[new, p] = cells.low[slot, p], upper[p]
                waiting = push(cells.heap, waiting, cells.bound, new)
                if new == slots:
                    slots += 1
        if phase < 0:
            continue
        # The upper half keeps the high corner, and so the gain; only its low corner rises.
        cells.low[slot, phase] = middle + 1
        rest = corner(levels, weights, cells.low, slot) - cells.gain[slot]
        if rest < limit:
            cells.bound[slot] = rest
            waiting = push(cells.heap, waiting, cells.bound, slot)
    if waiting > 0:
        limit = min(limit, cells.bound[cells.heap[0]])
    return limit, count, searched
