"""The cheapest senders of one device by dynamic programming over masks of its classes, compiled.

A mask holds the missing classes that are covered. From a mask, one goes on by a sender that covers
its first uncovered class, so that the first uncovered class only rises, and masks are worked
through by it. What is left costs at least the prices of the uncovered classes; masks that cannot
end below the best known choice are left out, and so are senders that another one dominates (more
classes for no more) or that the bound of `price_loops` rules out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.compiling import compiled, helper
from splitopt.solvers.generator_pairing.price_loops import Offers, bound_by_prices, copy_first

SLACK = 1e-12
"""Choices that are cheaper by less than this, relatively, are not looked for."""
BITS = 10
HALF = (1 << BITS) - 1
"""Masks are looked up in two halves, the first of so many classes."""


@helper
def undominated(
    costs: FloatArray, order: IntArray, masks: IntArray, missing: IntArray, kept: IntArray
) -> tuple[int, IntArray]:
    """Keep the senders for which no other one covers as much for no more.

    Parameters
    ----------
    order
        The senders by rising cost.
    masks
        Shape (D,): the classes of each sender as bits.
    missing
        The numbers of the classes that the device lacks.

    Returns
    -------
    How many there are in `kept`, and their masks over the missing classes.
    """
    found = np.empty(order.size, np.int64)
    count = 0
    for k in order:
        if not np.isfinite(costs[k]):
            break
        mask = 0
        for c in range(missing.size):
            mask |= (masks[k] >> missing[c] & 1) << c
        if mask == 0:
            continue
        needed = True
        for place in range(count):
            if found[place] & mask == mask:
                needed = False
                break
        if needed:
            kept[count], found[count] = k, mask
            count += 1
    return count, found[:count]


@helper
def offers_of(costs: FloatArray, kept: IntArray, masks: IntArray, classes: int) -> Offers:
    """Write masks as lists of classes, each needed once and without penalties."""
    starts = np.zeros(masks.size + 1, np.int64)
    bits = np.empty(masks.size * classes, np.int64)
    size = 0
    for k in range(masks.size):
        for c in range(classes):
            if masks[k] >> c & 1:
                bits[size] = c
                size += 1
        starts[k + 1] = size
    own, need = np.empty(masks.size), np.empty(classes, np.int64)
    for k in range(masks.size):
        own[k] = costs[kept[k]]
    for c in range(classes):
        need[c] = 1
    return Offers(own, starts, bits[:size], np.zeros(size), need)


@helper
def feasible_prices(offers: Offers, prices: FloatArray) -> None:
    """Lower prices until no sender is worth more than it costs; raise them while that holds."""
    scale = np.empty(prices.size)
    for c in range(prices.size):
        scale[c] = 1.0
    for k in range(offers.costs.size):
        worth = 0.0
        for e in range(offers.starts[k], offers.starts[k + 1]):
            worth += prices[offers.bits[e]]
        if worth > offers.costs[k]:
            for e in range(offers.starts[k], offers.starts[k + 1]):
                c = offers.bits[e]
                scale[c] = min(scale[c], offers.costs[k] / worth)
    for c in range(prices.size):
        prices[c] *= scale[c]
    for c in range(prices.size):
        room = np.inf
        for k in range(offers.costs.size):
            worth, holds = 0.0, False
            for e in range(offers.starts[k], offers.starts[k + 1]):
                worth += prices[offers.bits[e]]
                holds |= offers.bits[e] == c
            if holds:
                room = min(room, offers.costs[k] - worth)
        if 0.0 < room < np.inf:
            prices[c] += room


@helper
def common_unit(costs: FloatArray) -> float:
    """Return the least cost above 0 if all are whole multiples of it, else 0."""
    unit = np.inf
    for cost in costs:
        if 0.0 < cost < unit:
            unit = cost
    if unit == np.inf:
        return 0.0
    for cost in costs:
        times = cost / unit
        if abs(times - np.rint(times)) > 1e-12 * times or times > 1e6:
            return 0.0
    return unit


@helper
def worth_of_rest(prices: FloatArray) -> FloatArray:
    """Return for every mask of some classes what those outside it are worth together."""
    found = np.zeros(1 << prices.size)
    for mask in range(found.size - 2, -1, -1):
        first = 0
        while mask >> first & 1:
            first += 1
        found[mask] = found[mask | 1 << first] + prices[first]
    return found


@helper
def holders_of(masks: IntArray, begin: IntArray) -> IntArray:
    """Return who has each class, from ``begin[c]`` to ``begin[c + 1]``; `begin` comes as zeros."""
    classes = begin.size - 1
    for k in range(masks.size):
        for c in range(classes):
            begin[c + 1] += masks[k] >> c & 1
    for c in range(classes):
        begin[c + 1] += begin[c]
    holders, filled = np.empty(begin[classes], np.int64), np.empty(classes, np.int64)
    copy_first(filled, begin, classes)
    for k in range(masks.size):
        for c in range(classes):
            if masks[k] >> c & 1:
                holders[filled[c]] = k
                filled[c] += 1
    return holders


@helper
def walk(
    costs: FloatArray,
    masks: IntArray,
    prices: FloatArray,
    limit: float,
    value: FloatArray,
    previous: Any,
    column: Any,
    after: Any,
) -> tuple[float, int]:
    """Find the cheapest way to cover all classes below a limit.

    Returns
    -------
    Its cost (infinite if there is none below) and the number of masks; ``previous`` and ``column``
    lead back from the full mask. ``value`` is infinite everywhere before and after.
    """
    classes = prices.size
    full = (1 << classes) - 1
    head = np.empty(classes + 1, np.int64)
    for layer in range(classes + 1):
        head[layer] = -1
    left, right = worth_of_rest(prices[:BITS]), worth_of_rest(prices[BITS:])
    begin = np.zeros(classes + 1, np.int64)
    holders = holders_of(masks, begin)
    value[0], after[0], head[0] = 0.0, -1, 0
    seen = 1
    for layer in range(classes):
        mask = head[layer]
        while mask >= 0:
            if value[mask] + left[mask & HALF] + right[mask >> BITS] < limit:
                for place in range(begin[layer], begin[layer + 1]):
                    k = holders[place]
                    new = mask | masks[k]
                    cost = value[mask] + costs[k]
                    if cost >= value[new] or cost >= limit:
                        continue
                    if cost + left[new & HALF] + right[new >> BITS] >= limit:
                        continue
                    if value[new] == np.inf:
                        first = 0
                        while new >> first & 1:
                            first += 1
                        after[new], head[first] = head[first], new
                        seen += 1
                    value[new], previous[new], column[new] = cost, mask, k
                    if new == full:
                        limit = cost
            mask = after[mask]
    found = value[full]
    for layer in range(classes + 1):
        mask = head[layer]
        while mask >= 0:
            value[mask] = np.inf
            mask = after[mask]
    return found, seen


@helper
def ruled_in(few: IntArray, reduced: FloatArray, bound: float, limit: float) -> int:
    """List whom a choice below the limit may have, by their places; return their number."""
    left = 0
    for place in range(few.size):
        if bound + max(reduced[place], 0.0) < limit:
            few[left] = place
            left += 1
    return left


@helper
def rarest_first(masks: IntArray, classes: int) -> IntArray:
    """Order classes by the number of senders that have them."""
    count = np.zeros(classes, np.int64)
    for k in range(masks.size):
        for c in range(classes):
            count[c] += masks[k] >> c & 1
    order = np.empty(classes, np.int64)
    for c in range(classes):
        place = c
        while place > 0 and count[order[place - 1]] > count[c]:
            order[place] = order[place - 1]
            place -= 1
        order[place] = c
    return order


@helper
def taken(values: IntArray, places: IntArray, count: int) -> IntArray:
    """Return the values at the first of some places."""
    found = np.empty(count, np.int64)
    for place in range(count):
        found[place] = values[places[place]]
    return found


@compiled
def cheapest_cover(
    costs: FloatArray,
    order: IntArray,
    masks: IntArray,
    missing: IntArray,
    rounds: int,
    value: FloatArray,
    previous: Any,
    column: Any,
    after: Any,
    senders: IntArray,
) -> tuple[float, int, int]:
    """Find the cheapest senders that cover what one device lacks.

    Parameters
    ----------
    costs
        Shape (D,): what each sender costs, infinite where it must not send.
    order, masks, missing
        See `undominated`.
    rounds
        Subgradient steps for the prices.
    value, previous, column, after
        Shape (2^M,) for M missing classes: what `walk` works in, all but
        ``value`` of int32; ``value`` is infinite.
    senders
        Shape (D,): filled with the choice.

    Returns
    -------
    Its cost, infinite if there is none; how many senders it has; and how many masks were seen.
    """
    classes = missing.size
    kept = np.empty(order.size, np.int64)
    count, local = undominated(costs, order, masks, missing, kept)
    offers = offers_of(costs, kept[:count], local, classes)
    prices, reduced = np.empty(classes), np.empty(count)
    chosen = np.empty(count + 1, np.int64)
    bound, best, size = bound_by_prices(offers, rounds, prices, reduced, chosen)
    if best == np.inf:
        return np.inf, 0, 0
    for place in range(size):
        senders[place] = kept[chosen[place]]
    unit = common_unit(offers.costs)
    limit = best - max(SLACK * best, unit * (1.0 - 1e-6))
    if bound >= limit:
        return best, size, 0
    few = np.empty(count, np.int64)
    left = ruled_in(few, reduced, bound, limit)
    own = taken(local, few, left)
    offers = offers_of(costs, taken(kept, few, left), own, classes)
    feasible_prices(offers, prices)
    turn = rarest_first(own, classes)
    turned, worth = np.zeros(left, np.int64), np.empty(classes)
    for place in range(left):
        for c in range(classes):
            turned[place] |= (own[place] >> turn[c] & 1) << c
    for c in range(classes):
        worth[c] = prices[turn[c]]
    found, seen = walk(offers.costs, turned, worth, limit, value, previous, column, after)
    if found == np.inf:
        return best, size, seen
    mask, size = (1 << classes) - 1, 0
    while mask:
        senders[size] = kept[few[column[mask]]]
        size += 1
        mask = previous[mask]
    return found, size, seen
