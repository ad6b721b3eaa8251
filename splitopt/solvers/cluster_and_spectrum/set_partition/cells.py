"""The compiled search for the cluster that gains most at given prices: best first, over cells.

A cluster's seconds are ``sum_p weight_p T_p``, where T_p is the length of its phase p and always a
level ``fixed + spectral / x`` of one of its devices. A cell is a range of levels per phase. All
clusters of K devices whose phases are in a cell take at least its low corner, and each of their
devices needs at least what it needs to be as fast as the high corner asks; so the cell's reduced
cost is at least

    low corner - max {sum of prices of K devices : their needs at the high corner are at most C}

which is a knapsack with a cardinality. Only few devices matter in it: one that has K others with
no larger need and no smaller price is never needed. The choice that solves the knapsack is a
cluster, whose true reduced cost bounds the search from above.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cluster_and_spectrum.loops import exact, gather
from splitopt.problems.compiling import compiled, helper


class Asked(NamedTuple):
    """What is asked of the clusters of one size, by a search or a listing.

    Parameters
    ----------
    terms
        Shape (N, 6), without the server's part.
    fixed, spectral, weights
        Shapes (D, N), (D, N), (D,): the phases that count, and how often each does.
    levels, starts
        The sorted levels of phase p are ``levels[starts[p] : starts[p + 1]]``.
    prices, order
        Shape (N,), and the devices by falling price.
    subcarriers, inner_phases
        Of a cluster.
    """

    terms: FloatArray
    fixed: FloatArray
    spectral: FloatArray
    weights: FloatArray
    levels: FloatArray
    starts: IntArray
    prices: FloatArray
    order: IntArray
    subcarriers: int
    inner_phases: int


class Room(NamedTuple):
    """What the best choices of K devices are worked out in: ``needs`` (N,), ``chosen`` (K,)."""

    needs: IntArray
    items: IntArray
    first: IntArray
    top: FloatArray
    value: FloatArray
    taken: Any  # of int8
    chosen: IntArray
    x: IntArray
    work: IntArray
    cluster: FloatArray


@helper
def room_for(asked: Asked, size: int) -> Room:
    """Make room for choices of `size` devices."""
    devices, most = len(asked.prices), asked.subcarriers - size + 1
    needs, items = np.empty(devices, np.int64), np.empty(devices, np.int64)
    first, top = np.empty(most + 2, np.int64), np.empty(size)
    value = np.empty((size + 1, most))
    taken = np.zeros((min(devices, size * most), size + 1, most), np.int8)
    chosen, x = np.empty(size, np.int64), np.empty(size, np.int64)
    work, cluster = np.empty((6 + asked.subcarriers, size), np.int64), np.empty((6, size))
    return Room(needs, items, first, top, value, taken, chosen, x, work, cluster)


@helper
def best_choice(asked: Asked, thresholds: FloatArray, room: Room) -> float:
    """Choose the K devices of the largest sum of prices that meet thresholds (D,) together.

    Returns
    -------
    That sum, ``-inf`` if none do; ``room`` has what each device needs, and the choice.
    """
    size = len(room.chosen)
    most = asked.subcarriers - size + 1
    fill_needs(asked.fixed, asked.spectral, thresholds, most, room.needs)
    kept = undominated(
        room.needs, asked.order, asked.prices, size, most, room.items, room.first, room.top
    )
    return knapsack(
        room.items, kept, room.needs, asked.prices, most - 1, room.value, room.taken, room.chosen
    )


@helper
def seconds_of_choice(asked: Asked, room: Room) -> float:
    """Return the seconds of the chosen devices with their best subcarriers, ``room.x``."""
    gather(asked.terms, room.chosen, room.cluster)
    return exact(room.cluster, asked.subcarriers, asked.inner_phases, 0.0, room.x, room.work)


@helper
def requirement(fixed: float, spectral: float, threshold: float, most: int) -> int:
    """Fewest subcarriers x with ``fixed + spectral / x <= threshold``; ``most + 1`` if over `most`.

    It is that very expression that is compared, so that a level counts as reached by whoever sets
    it.
    """
    if fixed + spectral / most > threshold:
        return most + 1
    if fixed + spectral <= threshold:
        return 1
    x = min(max(int(spectral / (threshold - fixed)), 1), most)
    while x > 1 and fixed + spectral / (x - 1) <= threshold:
        x -= 1
    while fixed + spectral / x > threshold:
        x += 1
    return x


@helper
def fill_needs(
    fixed: FloatArray, spectral: FloatArray, thresholds: FloatArray, most: int, needs: IntArray
) -> None:
    """Write to `needs` (N,) what each device needs to meet all thresholds (D,)."""
    for n in range(len(needs)):
        needs[n] = 1
    for phase in range(len(thresholds)):
        for n in range(len(needs)):
            if needs[n] <= most:
                needs[n] = max(
                    needs[n],
                    requirement(fixed[phase, n], spectral[phase, n], thresholds[phase], most),
                )


@helper
def undominated(
    needs: IntArray,
    order: IntArray,
    prices: FloatArray,
    size: int,
    most: int,
    items: IntArray,
    first: IntArray,
    top: FloatArray,
) -> int:
    """Write to `items` the devices that a best choice of `size` may need; give their number.

    They come by growing need. Left out is who cannot belong to any cluster, and who has `size`
    others with at most the same need and at least the same price.

    Parameters
    ----------
    order
        The devices by falling price.
    first, top
        Room, shapes (most + 2,) and (size,).
    """
    first[:] = 0
    for n in range(len(needs)):
        if needs[n] <= most:
            first[needs[n] + 1] += 1
    for need in range(1, most + 2):
        first[need] += first[need - 1]
    total = 0
    for n in order:
        if needs[n] <= most:
            items[first[needs[n]]] = n
            first[needs[n]] += 1
            total += 1
    kept, full = 0, 0
    for j in range(total):
        price = prices[items[j]]
        if full < size:
            place = full
            full += 1
        elif price <= top[size - 1]:
            continue
        else:
            place = size - 1
        while place > 0 and top[place - 1] < price:
            top[place] = top[place - 1]
            place -= 1
        top[place] = price
        items[kept] = items[j]
        kept += 1
    return kept


@helper
def knapsack(
    items: IntArray,
    count: int,
    needs: IntArray,
    prices: FloatArray,
    spare: int,
    value: FloatArray,
    taken: IntArray,
    chosen: IntArray,
) -> float:
    """Choose exactly K items with the largest sum of prices; give that sum, ``-inf`` if none fits.

    Every device needs a first subcarrier, so that only the needs beyond it count against `spare`,
    the subcarriers left after K.

    Parameters
    ----------
    value, taken
        Room, shapes (K + 1, spare + 1) and (>= count, K + 1, spare + 1).
    chosen
        Shape (K,): the choice.
    """
    size, width = len(chosen), spare + 1
    value[:] = -np.inf
    value[0] = 0.0
    for j in range(count):
        extra, price = needs[items[j]] - 1, prices[items[j]]
        for k in range(min(size, j + 1), 0, -1):
            before, row, mark = value[k - 1], value[k], taken[j, k]
            for room in range(min(extra, width)):
                mark[room] = 0
            for room in range(extra, width):
                offer = before[room - extra] + price
                better = offer > row[room]
                mark[room] = better
                if better:
                    row[room] = offer
    best = value[size, spare]
    if best == -np.inf:
        return -np.inf
    k, room, j = size, spare, count - 1
    while k > 0:
        if k <= j + 1 and taken[j, k, room]:
            chosen[k - 1] = items[j]
            room -= needs[items[j]] - 1
            k -= 1
        j -= 1
    return float(best)


@helper
def push(heap: IntArray, count: int, keys: FloatArray, slot: int) -> int:
    """Add a slot to a heap of slots ordered by their keys; give the new count."""
    place = count
    while place > 0 and keys[heap[(place - 1) // 2]] > keys[slot]:
        heap[place] = heap[(place - 1) // 2]
        place = (place - 1) // 2
    heap[place] = slot
    return count + 1


@helper
def pop(heap: IntArray, count: int, keys: FloatArray) -> int:
    """Remove the slot with the smallest key; give the new count."""
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
    asked: Asked, cutoff: float, max_cells: int, found: IntArray, reduced: FloatArray
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
    weights, levels, starts, phases = asked.weights, asked.levels, asked.starts, len(asked.weights)
    room = room_for(asked, found.shape[1])
    bound, gain, heap = np.empty(1024), np.empty(1024), np.empty(1024, np.int64)
    low, high = np.empty((1024, phases), np.int64), np.empty((1024, phases), np.int64)
    for p in range(phases):
        low[0, p], high[0, p] = starts[p], starts[p + 1] - 1
    bound[0], gain[0], heap[0] = -np.inf, -np.inf, 0
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
        value = best_choice(asked, thresholds, room)
        lower = corner(levels, weights, low, slot)
        new = slots if phase >= 0 else slot
        if value > -np.inf and lower - value < limit:
            cost = seconds_of_choice(asked, room) - value
            if cost < cutoff:
                count = keep(found, reduced, count, room.chosen, cost)
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
        low[slot, phase] = middle + 1
        rest = corner(levels, weights, low, slot) - gain[slot]
        if rest < limit:
            bound[slot] = rest
            waiting = push(heap, waiting, bound, slot)
    if waiting > 0:
        limit = min(limit, bound[heap[0]])
    return limit, count, cells
