"""All covers of one device below a limit, by depth-first search, compiled."""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.compiling import compiled
from splitopt.solvers.generator_pairing.mask_loops import feasible_prices, offers_of
from splitopt.solvers.generator_pairing.price_loops import bound_by_prices


@compiled
def list_covers(
    costs: FloatArray,
    masks: IntArray,
    missing: IntArray,
    rounds: int,
    limit: float,
    found: IntArray,
) -> int:
    """List the choices of senders that cover all missing classes and cost at most a limit.

    From a choice one goes on by a sender of its first uncovered class, so that every choice in
    which no sender is needless is listed, some of them more than once.

    Parameters
    ----------
    costs
        Shape (D,): infinite where a device must not send.
    masks, missing
        As for `cheapest_cover`.
    rounds
        Subgradient steps for the prices.
    limit
        The most that a choice may cost.
    found
        Shape (K, M): filled with the senders of each choice, -1 where there are fewer.

    Returns
    -------
    How many there are; K + 1 where there is no room for all.
    """
    classes = missing.size
    full = (1 << classes) - 1
    kept, local = np.empty(masks.size, np.int64), np.zeros(masks.size, np.int64)
    count = 0
    for k in range(masks.size):
        mask = 0
        for c in range(classes):
            mask |= (masks[k] >> missing[c] & 1) << c
        if mask and costs[k] <= limit:
            kept[count], local[count] = k, mask
            count += 1
    offers = offers_of(costs, kept[:count], local[:count], classes)
    prices, reduced = np.empty(classes), np.empty(count)
    bound, best, _ = bound_by_prices(offers, rounds, prices, reduced, np.empty(count + 1, np.int64))
    if best == np.inf:
        return 0
    few = 0
    for k in range(count):
        if bound + max(reduced[k], 0.0) <= limit:
            kept[few], local[few] = kept[k], local[k]
            few += 1
    offers = offers_of(costs, kept[:few], local[:few], classes)
    feasible_prices(offers, prices)
    chosen, place = np.full(classes, -1, np.int64), np.zeros(classes + 1, np.int64)
    covered, spent = np.zeros(classes + 1, np.int64), np.zeros(classes + 1)
    depth, size = 0, 0
    while depth >= 0:
        mask, first = covered[depth], 0
        while mask >> first & 1:
            first += 1
        k = place[depth]
        while k < few and not local[k] >> first & 1:
            k += 1
        place[depth] = k + 1
        if k >= few:
            depth -= 1
            if depth >= 0:
                chosen[depth] = -1
            continue
        new, cost = mask | local[k], spent[depth] + offers.costs[k]
        rest = 0.0
        for c in range(classes):
            if not new >> c & 1:
                rest += prices[c]
        if cost + rest > limit:
            continue
        chosen[depth] = kept[k]
        if new == full:
            if size == found.shape[0]:
                return size + 1
            found[size] = chosen
            size += 1
            chosen[depth] = -1
            continue
        depth += 1
        covered[depth], spent[depth], place[depth] = new, cost, 0
    return size
