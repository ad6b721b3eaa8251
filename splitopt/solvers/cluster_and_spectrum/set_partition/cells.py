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

from typing import NamedTuple

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cluster_and_spectrum.loops import exact, gather
from splitopt.problems.compiling import compiled, helper
from splitopt.solvers.cluster_and_spectrum.set_partition.choice import (
    PricingRequest,
    Workspace,
    best_choice,
)

_FIRST_SLOTS = 1024


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


def first_cell(starts: IntArray) -> Cells:
    """Return slots of which the first holds the cell of all levels.

    Phase p has those from ``starts[p]`` to before ``starts[p + 1]``.
    """
    phases = len(starts) - 1
    low, high = (np.empty((_FIRST_SLOTS, phases), np.int64) for _ in range(2))
    bound, gain = np.empty(_FIRST_SLOTS), np.empty(_FIRST_SLOTS)
    cells = Cells(low, high, bound, gain, np.empty(_FIRST_SLOTS, np.int64))
    cells.low[0], cells.high[0] = starts[:-1], starts[1:] - 1
    cells.bound[0], cells.gain[0], cells.heap[0] = -np.inf, -np.inf, 0
    return cells


def with_twice_the_slots(cells: Cells) -> Cells:
    """Return the same cells in twice as many slots."""
    return Cells._make(np.concatenate((table, np.empty_like(table))) for table in cells)


@compiled
def search_cells(
    request: PricingRequest,
    space: Workspace,
    cells: Cells,
    state: IntArray,
    limits: FloatArray,
    max_cells: int,
    found: IntArray,
    reduced: FloatArray,
) -> None:
    """Search the clusters of K devices for reduced costs below a cutoff, while there are slots.

    Parameters
    ----------
    space
        See `workspace_for`.
    cells
        See `first_cell`; where no slot is left, the search goes on with more of them.
    state
        Shape (4,), written to: slots in use, waiting cells, cells that were searched, and clusters
        in `found`; begins with 1, 1, 0, 0.
    limits
        Shape (2,): the cutoff, and the least reduced cost found, which is written to and begins
        with the cutoff.
    max_cells
        Stop after so many cells; the bound is then weaker but valid.
    found, reduced
        Room for clusters, shape (F, K), and their reduced costs; the best ones are noted.
    """
    weights, levels, phases = request.weights, request.levels, len(request.weights)
    slots, waiting, searched, count = state[0], state[1], state[2], state[3]
    upper, thresholds = np.empty(phases, np.int64), np.empty(phases)
    cutoff, limit = limits[0], limits[1]
    # `limit` is the least reduced cost found; cells with a bound of at least that need no look.
    while waiting > 0 and searched < max_cells and slots < len(cells.heap):
        slot = cells.heap[0]
        if cells.bound[slot] >= limit:
            break
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
            gather(request.terms, space.chosen, space.cluster)
            inner, x, work = request.inner_phases, space.x, space.work
            seconds = exact(space.cluster, request.subcarriers, inner, 0.0, x, work)
            cost = seconds - value
            if cost < cutoff:
                count = keep(found, reduced, count, space.chosen, cost)
                limit = min(limit, cost)
            if lower - value < limit:
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
    state[0], state[1], state[2], state[3] = slots, waiting, searched, count
    limits[1] = limit
