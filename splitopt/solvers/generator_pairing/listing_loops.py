"""All covers of one device below a limit, by depth-first search, compiled."""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.compiling import compiled, helper
from splitopt.solvers.generator_pairing.mask_loops import feasible_prices, offers_of
from splitopt.solvers.generator_pairing.price_loops import bound_by_prices


@helper
def useful_senders(
    costs: FloatArray,
    masks: IntArray,
    missing: IntArray,
    limit: float,
    kept: IntArray,
    local: IntArray,
) -> int:
    """Write who has a missing class within the limit, and which of them; return how many do.

    Bit c of an entry of `local` is the class ``missing[c]``.
    """
    count = 0
    for k in range(masks.size):
        mask = 0
        for c in range(missing.size):
            mask |= (masks[k] >> missing[c] & 1) << c
        if mask and costs[k] <= limit:
            kept[count], local[count] = k, mask
            count += 1
    return count


@helper
def next_sender(local: IntArray, covered: int, first: int) -> int:
    """Return the first sender from `first` on that has the first uncovered class, or their number.

    The senders have the classes `local`.
    """
    missing = 0
    while covered >> missing & 1:
        missing += 1
    k = first
    while k < local.size and not local[k] >> missing & 1:
        k += 1
    return k


@helper
def price_of_rest(prices: FloatArray, covered: int) -> float:
    """Return what the classes that are not covered cost at least."""
    rest = 0.0
    for c in range(prices.size):
        if not covered >> c & 1:
            rest += prices[c]
    return rest


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
    kept, local = np.empty(masks.size, np.int64), np.zeros(masks.size, np.int64)
    count = useful_senders(costs, masks, missing, limit, kept, local)
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
    kept, local = kept[:few], local[:few]
    offers = offers_of(costs, kept, local, classes)
    feasible_prices(offers, prices)
    chosen, place = np.empty(classes, np.int64), np.zeros(classes + 1, np.int64)
    for c in range(classes):
        chosen[c] = -1
    covered, spent = np.zeros(classes + 1, np.int64), np.zeros(classes + 1)
    depth, size, full = 0, 0, (1 << classes) - 1
    while depth >= 0:
        k = next_sender(local, covered[depth], place[depth])
        place[depth] = k + 1
        if k >= few:
            depth -= 1
            if depth >= 0:
                chosen[depth] = -1
            continue
        new, cost = covered[depth] | local[k], spent[depth] + offers.costs[k]
        if cost + price_of_rest(prices, new) > limit:
            continue
        chosen[depth] = kept[k]
        if new == full:
            if size == found.shape[0]:
                return size + 1
            for c in range(classes):
                found[size, c] = chosen[c]
            size += 1
            chosen[depth] = -1
            continue
        depth += 1
        covered[depth], spent[depth], place[depth] = new, cost, 0
    return size
