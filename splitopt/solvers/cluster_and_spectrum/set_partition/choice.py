"""The K devices of the largest sum of prices that meet thresholds together, for compiled loops.

A knapsack with a cardinality: every device needs so many subcarriers to meet the thresholds of all
phases, and a cluster has C of them. Only few devices matter: one that has K others with no larger
need and no smaller price is never needed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.compiling import helper


class PricingRequest(NamedTuple):
    """What is request of the clusters of one size, by a search or a listing.

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


class Workspace(NamedTuple):
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


def workspace_for(request: PricingRequest, size: int) -> Workspace:
    """Allocate what choices of `size` devices are worked out in."""
    devices, most = len(request.prices), request.subcarriers - size + 1
    needs, items = np.empty(devices, np.int64), np.empty(devices, np.int64)
    first, top = np.empty(most + 2, np.int64), np.empty(size)
    value = np.empty((size + 1, most))
    taken = np.zeros((min(devices, size * most), size + 1, most), np.int8)
    chosen, x = np.empty(size, np.int64), np.empty(size, np.int64)
    work, cluster = np.empty((6 + request.subcarriers, size), np.int64), np.empty((6, size))
    return Workspace(needs, items, first, top, value, taken, chosen, x, work, cluster)


@helper
def best_choice(request: PricingRequest, thresholds: FloatArray, space: Workspace) -> float:
    """Choose the K devices of the largest sum of prices that meet thresholds (D,) together.

    Returns
    -------
    That sum, ``-inf`` if none do; ``space`` has what each device needs, and the choice.
    """
    size = len(space.chosen)
    most = request.subcarriers - size + 1
    fill_needs(request.fixed, request.spectral, thresholds, most, space.needs)
    kept = undominated(
        space.needs, request.order, request.prices, size, most, space.items, space.first, space.top
    )
    return knapsack(
        space.items,
        kept,
        space.needs,
        request.prices,
        most - 1,
        space.value,
        space.taken,
        space.chosen,
    )


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
    """Write to `items` the devices that a best choice of `size` may need; return their number.

    They come by growing need. Left out is who cannot belong to any cluster, and who has `size`
    others with at most the same need and at least the same price.

    Parameters
    ----------
    order
        The devices by falling price.
    first, top
        Room, shapes (most + 2,) and (size,).
    """
    for need in range(most + 2):  # a counting sort by need that keeps the order by falling price
        first[need] = 0
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
    # top: the `size` largest prices so far. A device whose price is not above the least of them has
    # `size` others before it, with no larger need and no smaller price: exchanging it for one of
    # them that is not chosen keeps the needs and does not lower the sum.
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
    """Choose exactly K items of the largest sum of prices; return it, ``-inf`` if none fits.

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
    # value[k, r]: the largest sum of k of the items so far whose further needs are at most r. Items
    # come one by one and k falls, so that value[k - 1] is still that without the new item.
    for k in range(size + 1):
        for room in range(width):
            value[k, room] = 0.0 if k == 0 else -np.inf
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
    # Backwards from the last item: taken[j, k, r] says whether item j is the k-th in that sum.
    k, room, j = size, spare, count - 1
    while k > 0:
        if k <= j + 1 and taken[j, k, room]:
            chosen[k - 1] = items[j]
            room -= needs[items[j]] - 1
            k -= 1
        j -= 1
    return float(best)
