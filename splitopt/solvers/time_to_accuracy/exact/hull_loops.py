"""The least product of two sums over separable choices, compiled.

Every group of alike devices picks a batch size b; it adds t[b] to the rounds u and c[g, b] to the
round v, to which a constant belongs. The pairs (u, v) of all picks lie in the convex hull of the
sum of the groups' point sets. u v is quasi-concave where both are positive, so that its least value
over the hull is at one of the hull's extreme points, and each of these is a pick: the least value
over the hull is that over all picks, not a bound below it.

The lower left extreme points are the minima of p u + q v over prices p, q >= 0, for which every
group picks by itself (Eisner and Severance 1976). Between two known neighbours the hull lies in the
triangle under their chord, whose third corner is where their supporting lines meet; a triangle
whose corner is no better than the best point needs no further look. The product over a triangle is
least at a corner, again as it is quasi-concave.
"""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.compiling import compiled, helper

LEVEL = 1e-13
"""Points that are below a chord by less than this, relatively, are on it: by rounding."""
MOST_OPEN = 256
"""Triangles that wait; they are worked on depth first, so that few ever do."""


@helper
def pick(
    rounds: FloatArray,
    costs: FloatArray,
    weights: FloatArray,
    prices: FloatArray,
    point: FloatArray,
) -> bool:
    """Find the point (u, v) that is least under prices; false where a group has no choice.

    Parameters
    ----------
    rounds
        Shape (B,): t, infinite where the target is not reached.
    costs
        Shape (G, B): seconds that each group adds to a round, infinite where a choice is none.
    weights
        Shape (G,): devices of a group over all devices; its costs are those of all its devices.
    prices
        p of rounds and q of seconds, not both 0. Where one is 0, ties go to the other.
    point
        Filled with u and v.
    """
    u = v = 0.0
    p, q = prices[0], prices[1]
    for g in range(costs.shape[0]):
        if weights[g] == 0.0:
            continue
        best = np.inf
        own_u = own_v = np.inf
        for b in range(costs.shape[1]):
            # Of what is no choice it is infinite, or NaN at a price of 0: never less than the best.
            value = p * weights[g] * rounds[b] + q * costs[g, b]
            if value < best:
                best, own_u, own_v = value, weights[g] * rounds[b], costs[g, b]
            elif value == best:
                other_u, other_v = weights[g] * rounds[b], costs[g, b]
                if (p == 0.0 and other_u < own_u) or (q == 0.0 and other_v < own_v):
                    own_u, own_v = other_u, other_v
        if not np.isfinite(best):
            return False
        u += own_u
        v += own_v
    point[0], point[1] = u, v
    return True


@helper
def corner(left: FloatArray, right: FloatArray) -> float:
    """Compute the product at the corner of the triangle under two neighbours; 0 if it is none.

    Rows are u, v, p, q: a point and prices under which it is least.
    """
    # p u + q v is at least its value at each point.
    a = left[2] * left[0] + left[3] * left[1]
    b = right[2] * right[0] + right[3] * right[1]
    det = left[2] * right[3] - left[3] * right[2]
    if det <= 0.0:
        return 0.0
    u = (a * right[3] - left[3] * b) / det
    v = (left[2] * b - right[2] * a) / det
    # Never below the rectangle that both points span, which holds the triangle.
    return float(max(u, left[0]) * max(v, right[1]))


@helper
def least_product(
    rounds: FloatArray,
    costs: FloatArray,
    weights: FloatArray,
    constant: float,
    limit: float,
    prices: FloatArray,
) -> tuple[float, float]:
    """Compute the least u (constant + v) over all picks.

    Parameters
    ----------
    limit
        A value that is known to be reached: points above it need not be told apart.
    prices
        Filled with the prices under which the best point is picked.

    Returns
    -------
    The value at the best point found, and a lower bound on all points; both infinite where a group
    has no choice.
    """
    left, right, middle = np.empty(4), np.empty(4), np.empty(4)
    price = np.empty(2)
    left[2], left[3] = 1.0, 0.0
    if not pick(rounds, costs, weights, left[2:], left):
        return np.inf, np.inf
    right[2], right[3] = 0.0, 1.0
    pick(rounds, costs, weights, right[2:], right)
    left[1] += constant
    right[1] += constant
    best, best_p, best_q = left[0] * left[1], 1.0, 0.0
    if right[0] * right[1] < best:
        best, best_p, best_q = right[0] * right[1], 0.0, 1.0
    bound = best
    waiting = np.empty((MOST_OPEN, 8))
    waiting[0, :4], waiting[0, 4:] = left, right
    count = 1
    while count:
        count -= 1
        left[:], right[:] = waiting[count, :4], waiting[count, 4:]
        if left[0] >= right[0] or left[1] <= right[1]:
            continue
        below = corner(left, right)
        if below >= min(best, limit) or count + 2 > MOST_OPEN:
            bound = min(bound, below)
            continue
        price[0], price[1] = left[1] - right[1], right[0] - left[0]
        pick(rounds, costs, weights, price, middle)
        middle[1] += constant
        middle[2], middle[3] = price[0], price[1]
        chord = price[0] * left[0] + price[1] * left[1]
        if price[0] * middle[0] + price[1] * middle[1] >= chord * (1.0 - LEVEL):
            # Nothing lies below the chord, on which the product is least at an end.
            bound = min(bound, min(left[0] * left[1], right[0] * right[1]))
            continue
        value = middle[0] * middle[1]
        if value < best:
            best, best_p, best_q = value, price[0], price[1]
        bound = min(bound, value)
        waiting[count, :4], waiting[count, 4:] = left, middle
        waiting[count + 1, :4], waiting[count + 1, 4:] = middle, right
        count += 2
    prices[0], prices[1] = best_p, best_q
    return best, bound


@helper
def picked(rounds: FloatArray, costs: FloatArray, weight: float, g: int, p: float, q: float) -> int:
    """Return the batch size that a group picks under prices, by the rule of `pick`."""
    best, found = np.inf, -1
    for b in range(costs.shape[1]):
        value = p * weight * rounds[b] + q * costs[g, b]
        if value < best:
            best, found = value, b
        elif value == best and found >= 0:
            fewer = p == 0.0 and rounds[b] < rounds[found]
            if fewer or (q == 0.0 and costs[g, b] < costs[g, found]):
                found = b
    return found


@compiled
def lowest_of(
    rounds: FloatArray, costs: FloatArray, weights: FloatArray, constant: float, choice: IntArray
) -> tuple[float, float]:
    """Compute the least product of one separable question, with the picks; see `least_product`."""
    prices = np.empty(2)
    best, bound = least_product(rounds, costs, weights, constant, np.inf, prices)
    if np.isfinite(best):
        for g in range(costs.shape[0]):
            choice[g] = picked(rounds, costs, weights[g], g, prices[0], prices[1])
    return best, bound
