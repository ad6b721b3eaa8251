"""Prices of the classes that one device lacks, compiled: a Lagrangian bound, and who it rules out.

A device needs n_c senders for class c, sender k costs c_k and takes class c at a penalty p_kc.
Prices v >= 0 leave sender k the reduced cost r_k = c_k - sum_c max(0, v_c - p_kc), and

    L(v) = sum_c n_c v_c + sum_k min(0, r_k)

is at most what any choice costs: it pays every class n_c times, and takes each sender at most once.
A choice with sender k where r_k > 0 costs at least L(v) + r_k, one without it where r_k < 0 at
least L(v) - r_k.

The classes of sender k are ``bits[starts[k] : starts[k + 1]]``, with their penalties ``lacks``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.compiling import compiled, helper


class Offers(NamedTuple):
    """Who can send to one device, and what it gets."""

    costs: FloatArray
    starts: IntArray
    bits: IntArray
    lacks: FloatArray
    need: IntArray


@helper
def insert(found: FloatArray, size: int, value: float) -> None:
    """Insert a number into its place among the first `size`, which rise."""
    place = size
    while place > 0 and found[place - 1] > value:
        found[place] = found[place - 1]
        place -= 1
    found[place] = value


@helper
def copy_first(target: Any, source: Any, count: int) -> None:
    """Copy the first numbers of an array; numba compiles slices far longer."""
    for place in range(count):
        target[place] = source[place]


@helper
def reduced_costs(offers: Offers, prices: FloatArray, reduced: FloatArray) -> float:
    """Fill in what senders cost less what they are worth; return L(v)."""
    bound = 0.0
    for c in range(prices.size):
        bound += offers.need[c] * prices[c]
    for k in range(offers.costs.size):
        value = offers.costs[k]
        for e in range(offers.starts[k], offers.starts[k + 1]):
            gain = prices[offers.bits[e]] - offers.lacks[e]
            if gain > 0.0:
                value -= gain
        reduced[k] = value
        if value < 0.0:
            bound += value
    return bound


@helper
def greedy_cover(offers: Offers, weights: FloatArray, chosen: IntArray) -> int:
    """Choose senders by the least weight per class newly covered; return how many, -1 if none do.

    Senders that the later ones made needless are taken out again.
    """
    left = np.empty(offers.need.size, np.int64)
    copy_first(left, offers.need, left.size)
    used = np.zeros(weights.size, np.int64)
    open_need = 0
    for c in range(left.size):
        open_need += left[c]
    count = 0
    while open_need > 0:
        best, best_ratio = -1, np.inf
        for k in range(weights.size):
            if used[k] == 1:
                continue
            gain = 0
            for e in range(offers.starts[k], offers.starts[k + 1]):
                gain += left[offers.bits[e]] > 0
            if gain > 0:
                ratio = max(weights[k], 0.0) / gain
                if ratio < best_ratio:
                    best, best_ratio = k, ratio
        if best < 0:
            return -1
        used[best] = 1
        chosen[count] = best
        count += 1
        for e in range(offers.starts[best], offers.starts[best + 1]):
            open_need -= left[offers.bits[e]] > 0
            left[offers.bits[e]] -= 1
    return without_needless(offers, left, chosen, count)


@helper
def without_needless(offers: Offers, left: IntArray, chosen: IntArray, count: int) -> int:
    """Remove the dearest senders first whose classes are all covered more often than needed."""
    while True:
        worst, dearest = -1, 0.0
        for place in range(count):
            k = chosen[place]
            spare = True
            for e in range(offers.starts[k], offers.starts[k + 1]):
                if left[offers.bits[e]] >= 0:
                    spare = False
                    break
            if spare and (worst < 0 or offers.costs[k] > dearest):
                worst, dearest = place, offers.costs[k]
        if worst < 0:
            return count
        k = chosen[worst]
        for e in range(offers.starts[k], offers.starts[k + 1]):
            left[offers.bits[e]] += 1
        count -= 1
        chosen[worst] = chosen[count]


@helper
def cost_of(offers: Offers, chosen: IntArray, count: int) -> float:
    """Return what a choice costs, with the n_c smallest penalties of every class."""
    total = 0.0
    for place in range(count):
        total += offers.costs[chosen[place]]
    found = np.empty(count)
    for c in range(offers.need.size):
        size = 0
        for place in range(count):
            k = chosen[place]
            for e in range(offers.starts[k], offers.starts[k + 1]):
                if offers.bits[e] == c:
                    insert(found, size, offers.lacks[e])
                    size += 1
        for place in range(min(offers.need[c], size)):
            total += found[place]
    return total


@helper
def fill_shares(offers: Offers, prices: FloatArray) -> None:
    """Write the first prices: of each class the least share of a cost, with the penalty."""
    for c in range(prices.size):
        prices[c] = np.inf
    for k in range(offers.costs.size):
        size = offers.starts[k + 1] - offers.starts[k]
        for e in range(offers.starts[k], offers.starts[k + 1]):
            share = offers.costs[k] / size + offers.lacks[e]
            prices[offers.bits[e]] = min(prices[offers.bits[e]], share)


@helper
def bound_by_prices(
    offers: Offers, rounds: int, prices: FloatArray, reduced: FloatArray, chosen: IntArray
) -> tuple[float, float, int]:
    """Raise L(v) by subgradient steps, and look for cheap choices along the way.

    Returns
    -------
    The best bound, whose prices and reduced costs are filled in; the least cost of a choice,
    infinite if there is none, and the number of its senders in `chosen`.
    """
    classes, senders = offers.need.size, offers.costs.size
    trial = np.empty(senders + 1, np.int64)
    count = greedy_cover(offers, offers.costs, trial)
    if count < 0:
        return -np.inf, np.inf, 0
    best_cost, best_count = cost_of(offers, trial, count), count
    copy_first(chosen, trial, count)
    fill_shares(offers, prices)
    bound = reduced_costs(offers, prices, reduced)
    at, values, slope = np.empty(classes), np.empty(senders), np.empty(classes)
    copy_first(at, prices, classes)
    copy_first(values, reduced, senders)
    step, since = 1.0, 0
    for turn in range(rounds):
        if bound >= best_cost * (1.0 - 1e-12):
            break
        norm = 0.0
        for c in range(classes):
            slope[c] = offers.need[c]
        for k in range(senders):
            if values[k] < 0.0:
                for e in range(offers.starts[k], offers.starts[k + 1]):
                    if at[offers.bits[e]] > offers.lacks[e]:
                        slope[offers.bits[e]] -= 1.0
        for c in range(classes):
            if at[c] <= 0.0 and slope[c] < 0.0:
                slope[c] = 0.0
            norm += slope[c] * slope[c]
        if norm == 0.0:
            break
        current = reduced_costs(offers, at, values)
        length = step * (1.02 * best_cost - current) / norm
        for c in range(classes):
            at[c] = max(0.0, at[c] + length * slope[c])
        current = reduced_costs(offers, at, values)
        if current > bound:
            since = 0 if current > bound + 1e-3 * (best_cost - bound) else since + 1
            bound = current
            copy_first(prices, at, classes)
            copy_first(reduced, values, senders)
        else:
            since += 1
        if since >= 5:
            step, since = step * 0.5, 0
            copy_first(at, prices, classes)
            copy_first(values, reduced, senders)
        if turn % 10 == 9:
            count = greedy_cover(offers, values, trial)
            cost = cost_of(offers, trial, count)
            if cost < best_cost:
                best_cost, best_count = cost, count
                copy_first(chosen, trial, count)
    return bound, best_cost, best_count


@compiled
def price_classes(
    costs: FloatArray,
    starts: IntArray,
    bits: IntArray,
    lacks: FloatArray,
    need: IntArray,
    rounds: int,
    prices: FloatArray,
    reduced: FloatArray,
    chosen: IntArray,
) -> tuple[float, float, int]:
    """Bound one device and choose senders for it, see `bound_by_prices`."""
    offers = Offers(costs, starts, bits, lacks, need)
    return bound_by_prices(offers, rounds, prices, reduced, chosen)
