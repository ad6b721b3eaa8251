"""The compiled listing of all clusters whose reduced cost is at most a limit.

The cells are those of the search. A cell that may hold such a cluster is split until it is narrow
against what its best choice has to spare; then every choice of K devices that fits the high corner
and is worth enough against the low one is looked at. A cluster belongs to the cell that holds the
phases of its best subcarriers, so that it is listed once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.compiling import compiled, helper
from splitopt.solvers.cluster_and_spectrum.set_partition.cells import corner, split, twice_rows
from splitopt.solvers.cluster_and_spectrum.set_partition.choice import (
    PricingRequest,
    best_choice,
    seconds_of_choice,
    workspace_for,
)

_NARROW = 2.0
"""A cell is listed when its width is at most this share of what its best choice has to spare."""


@helper
def in_cell(
    request: PricingRequest, low: IntArray, high: IntArray, cluster: IntArray, x: IntArray
) -> bool:
    """Whether the phases of a cluster with subcarriers x are within the cell."""
    for phase in range(len(low)):
        top = 0.0
        for k in range(len(cluster)):
            n = cluster[k]
            top = max(top, request.fixed[phase, n] + request.spectral[phase, n] / x[k])
        if top < request.levels[low[phase]] or top > request.levels[high[phase]]:
            return False
    return True


@helper
def insert(numbers: IntArray, count: int, number: int) -> None:
    """Insert a number into the first `count` ones, which rise."""
    while count > 0 and numbers[count - 1] > number:
        numbers[count] = numbers[count - 1]
        count -= 1
    numbers[count] = number


@helper
def width_of(levels: FloatArray, weights: FloatArray, low: IntArray, high: IntArray) -> float:
    """How many seconds are between the corners of a cell."""
    total = 0.0
    for phase in range(len(weights)):
        total += weights[phase] * (levels[high[phase]] - levels[low[phase]])
    return total


@helper
def fill_rest(
    items: IntArray, total: int, needs: IntArray, prices: FloatArray, rest: FloatArray
) -> None:
    """Write to ``rest[j, k, room]`` the most that k of ``items[j:total]`` are worth within `room`.

    Room is counted beyond the first subcarrier of each; ``-inf`` where no k fit.
    """
    size, width = rest.shape[1], rest.shape[2]
    rest[total] = -np.inf
    rest[total, 0] = 0.0
    for j in range(total - 1, -1, -1):
        extra, price = needs[items[j]] - 1, prices[items[j]]
        here, after = rest[j], rest[j + 1]
        for room in range(width):
            here[0, room] = after[0, room]
        for k in range(1, size):
            for room in range(min(extra, width)):
                here[k, room] = after[k, room]
            for room in range(extra, width):
                here[k, room] = max(after[k, room], after[k - 1, room - extra] + price)


class Choices(NamedTuple):
    """The devices to choose K from, and what they can be worth.

    Parameters
    ----------
    items, total
        Devices and how many of them count.
    needs, prices
        Shape (N,): the subcarriers that each device needs, and its price.
    rest
        See `fill_rest`.
    spare
        Subcarriers beyond the first of each device.
    """

    items: IntArray
    total: int
    needs: IntArray
    prices: FloatArray
    rest: FloatArray
    spare: int


@helper
def next_choice(choices: Choices, target: float, place: IntArray, depth: int) -> int:
    """Go to the next choice of K items that fits and is worth at least `target`.

    Every step taken leads to such a choice, as `rest` tells what the others can still be worth.

    Parameters
    ----------
    place
        Shape (K,): the positions of the choice among the items, rising; changed.
    depth
        -1 to begin, K - 1 to go on.

    Returns
    -------
    K - 1 where there is one, -1 where there is none.
    """
    items, total, needs = choices.items, choices.total, choices.needs
    prices, rest, size = choices.prices, choices.rest, len(place)
    if depth < 0:
        depth, place[0] = 0, -1
    while depth >= 0:
        place[depth] += 1
        worth, room = 0.0, choices.spare
        for k in range(depth):
            worth += prices[items[place[k]]]
            room -= needs[items[place[k]]] - 1
        j, left = place[depth], size - depth
        while j < total and worth + rest[j, left, room] >= target:
            after = room - needs[items[j]] + 1
            if after >= 0:
                value = worth + prices[items[j]] + rest[j + 1, left - 1, after]
                if value >= target:
                    break
            j += 1
        place[depth] = j
        if j >= total or worth + rest[j, left, room] < target:
            depth -= 1
        elif left == 1:
            return depth
        else:
            depth += 1
            place[depth] = j
    return -1


@compiled
def list_cells(request: PricingRequest, limit: float, found: IntArray, seconds: FloatArray) -> int:
    """List the clusters of K devices whose seconds less prices are at most `limit`.

    Parameters
    ----------
    found, seconds
        Room for the clusters, shape (F, K), members ascending, and their seconds.

    Returns
    -------
    How many there are, or -1 if there are more than F.
    """
    size, weights, levels, starts = found.shape[1], request.weights, request.levels, request.starts
    prices, phases, spare = request.prices, len(weights), request.subcarriers - size
    space, place = workspace_for(request, size), np.empty(size, np.int64)
    needs, items, chosen = space.needs, space.items, space.chosen
    low, high = np.empty((256, phases), np.int64), np.empty((256, phases), np.int64)
    thresholds, rest = np.empty(phases), np.empty((len(prices) + 1, size + 1, spare + 1))
    for p in range(phases):
        low[0, p], high[0, p] = starts[p], starts[p + 1] - 1
    # The cells wait on a stack: the order does not matter, as all of them are looked at.
    waiting, count = 1, 0
    while waiting > 0:
        waiting -= 1
        cell = waiting
        for p in range(phases):
            thresholds[p] = levels[high[cell, p]]
        value = best_choice(request, thresholds, space)
        target = corner(levels, weights, low, cell) - limit
        if value == -np.inf or value < target:
            continue
        if width_of(levels, weights, low[cell], high[cell]) > _NARROW * (value - target):
            phase, middle = split(levels, weights, low[cell], high[cell])
            if phase >= 0:
                if cell + 2 > len(low):
                    low, high = twice_rows(low), twice_rows(high)
                for p in range(phases):
                    low[cell + 1, p], high[cell + 1, p] = low[cell, p], high[cell, p]
                low[cell, phase] = middle + 1
                high[cell + 1, phase] = middle
                waiting += 2
                continue
        total = 0
        for n in request.order:
            if needs[n] <= spare + 1:
                items[total] = n
                total += 1
        fill_rest(items, total, needs, prices, rest)
        choices = Choices(items, total, needs, prices, rest, spare)
        least = target - 1e-12 * abs(target)  # a choice that is worth the target is not lost
        depth = -1
        while True:
            depth = next_choice(choices, least, place, depth)
            if depth < 0:
                break
            worth = 0.0
            for k in range(size):
                worth += prices[items[place[k]]]
                insert(chosen, k, items[place[k]])
            cost = seconds_of_choice(request, space)
            if cost - worth > limit or not in_cell(request, low[cell], high[cell], chosen, space.x):
                continue
            if count == len(found):
                return -1
            for k in range(size):
                found[count, k] = chosen[k]
            seconds[count] = cost
            count += 1
    return count
