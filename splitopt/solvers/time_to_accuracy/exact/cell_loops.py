"""Cells of thresholds: bounds and plans of a range of the three maxima of a round, compiled.

In a cell the slowest way out is at most A, the slowest way back at most B and the slowest exchange
at most C, so that a device may pick what keeps to these, and the maxima count at least as much as
at the cell's low corner. The picks are separable then, see `hull_loops`.
"""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.compiling import compiled, helper
from splitopt.solvers.time_to_accuracy.exact.hull_loops import least_product, picked


@helper
def keeps_to(
    tables: FloatArray, most: FloatArray, high: FloatArray, size: float, n: int, cut: int
) -> bool:
    """Whether a device may have a batch of a size at a cut; arguments as for `alike_costs`."""
    return bool(
        size <= most[n, cut]
        and size * tables[0, n, cut] <= high[0]
        and size * tables[1, n, cut] <= high[1]
        and tables[2, n, cut] <= high[2]
    )


@helper
def alike_costs(
    tables: FloatArray,
    server: FloatArray,
    sizes: FloatArray,
    most: FloatArray,
    cut: int,
    high: FloatArray,
    group: IntArray,
    costs: FloatArray,
    weights: FloatArray,
) -> int:
    """Group devices by the largest batch that they may pick at a common cut.

    Returns how many groups there are, 0 if a device has no choice.

    Parameters
    ----------
    tables
        Shape (3, N, L): seconds of a sample out and back, and of an exchange.
    server
        Shape (L,): seconds of a sample in the server.
    sizes
        Shape (B,): batch sizes.
    most
        Shape (N, L): the largest batch that fits.
    high
        Shape (3,): A, B, C.
    group
        Shape (N,): filled with the group of every device, the number of its largest batch.
    costs, weights
        Shapes (B, B) and (B,): filled, see `hull_loops.pick`.
    """
    devices, count = tables.shape[1], sizes.size
    weights[:] = 0.0
    for n in range(devices):
        b = count - 1
        while b >= 0 and not keeps_to(tables, most, high, sizes[b], n, cut):
            b -= 1
        if b < 0:
            return 0
        group[n] = b
        weights[b] += 1.0
    for g in range(count):
        for b in range(count):
            costs[g, b] = weights[g] * sizes[b] * server[cut] if b <= g else np.inf
        weights[g] /= devices
    return count


@helper
def own_costs(
    tables: FloatArray,
    server: FloatArray,
    sizes: FloatArray,
    most: FloatArray,
    cut: int,
    high: FloatArray,
    group: IntArray,
    costs: FloatArray,
    weights: FloatArray,
) -> int:
    """Group devices by their costs by batch, each at the best of its cuts up to a largest one.

    As `alike_costs`, with up to a group for every device: shapes (N, B) and (N,). Groups are found
    by a table of hashes.
    """
    devices, count = tables.shape[1], sizes.size
    room = 2
    while room < 2 * devices:
        room *= 2
    slots = np.full(room, -1, np.int64)
    row, chosen = np.empty(count), np.empty(count, np.int64)
    groups = 0
    for n in range(devices):
        if not own_row(tables, server, sizes, most, cut, high, n, row, chosen):
            return 0
        key = 0
        for b in range(count):
            key = (key * 1000003 + chosen[b]) & 0x7FFFFFFFFF
        slot = (key ^ key >> 17) & (room - 1)
        while slots[slot] >= 0 and not same_row(costs, slots[slot], row):
            slot = (slot + 1) & (room - 1)
        if slots[slot] < 0:
            slots[slot] = groups
            costs[groups], weights[groups] = row, 0.0
            groups += 1
        group[n] = slots[slot]
        weights[group[n]] += 1.0
    for g in range(groups):
        for b in range(count):
            costs[g, b] *= weights[g]
        weights[g] /= devices
    return groups


@helper
def own_row(
    tables: FloatArray,
    server: FloatArray,
    sizes: FloatArray,
    most: FloatArray,
    cut: int,
    high: FloatArray,
    n: int,
    row: FloatArray,
    chosen: IntArray,
) -> bool:
    """Compute a device's least cost by batch, infinite where it has none; false if it has none.

    `chosen` is filled with the cuts, from 1, 0 for none.
    """
    row[:] = np.inf
    chosen[:] = 0
    has_some = False
    for cut_of in range(cut + 1):
        for b in range(sizes.size):
            if not keeps_to(tables, most, high, sizes[b], n, cut_of):
                break
            has_some = True
            if sizes[b] * server[cut_of] < row[b]:
                row[b], chosen[b] = sizes[b] * server[cut_of], cut_of + 1
    return has_some


@helper
def same_row(costs: FloatArray, g: int, row: FloatArray) -> bool:
    """Whether a group has the costs of a device."""
    equal = True
    for b in range(row.size):
        equal = equal and costs[g, b] == row[b]
    return equal


@helper
def cut_of_pick(
    tables: FloatArray,
    server: FloatArray,
    sizes: FloatArray,
    most: FloatArray,
    cut: int,
    high: FloatArray,
    n: int,
    b: int,
) -> int:
    """Return the cut by which a device has the cost of its pick, of several that leave most time.

    A cut beyond the smallest that will do can only raise the rounds, so ties go to it.
    """
    best, found = np.inf, -1
    for cut_of in range(cut + 1):
        fits = keeps_to(tables, most, high, sizes[b], n, cut_of)
        if fits and sizes[b] * server[cut_of] < best:
            best, found = sizes[b] * server[cut_of], cut_of
    return found


@compiled
def explore(
    tables: FloatArray,
    server: FloatArray,
    rounds: FloatArray,
    sizes: FloatArray,
    most: FloatArray,
    cut: int,
    apart: bool,
    interval: float,
    low: FloatArray,
    high: FloatArray,
    limit: float,
    cuts: IntArray,
    batches: IntArray,
    prices: FloatArray,
) -> tuple[float, float]:
    """Bound a cell from below and find a plan in it.

    Parameters
    ----------
    tables, server, sizes, most
        As for `alike_costs`.
    rounds
        Shape (B,): T at this largest cut and interval.
    cut
        The largest cut, 0-based.
    apart
        Whether devices may cut below it, or all cut there.
    interval
        Steps between two aggregations.
    low, high
        Shape (3,): the thresholds A, B, C at the cell's corners.
    limit
        The best value known.
    cuts, batches
        Shape (N,): filled with the plan, 0-based cuts and numbers of batch sizes.
    prices
        Shape (2,): filled with the prices of rounds and seconds under which the plan is picked.

    Returns
    -------
    A lower bound on all plans of the cell, and the plan's value with its own maxima, at the rounds
    of the largest cut. Both are infinite where the cell has no plan.
    """
    devices, count = tables.shape[1], sizes.size
    group = np.empty(devices, np.int64)
    room = devices if apart else count
    costs, weights = np.empty((room, count)), np.empty(room)
    if apart:
        groups = own_costs(tables, server, sizes, most, cut, high, group, costs, weights)
    else:
        groups = alike_costs(tables, server, sizes, most, cut, high, group, costs, weights)
    if groups == 0:
        return np.inf, np.inf
    costs, weights = costs[:groups], weights[:groups]
    constant = low[0] + low[1] + low[2] / interval
    best, bound = least_product(rounds, costs, weights, constant, limit, prices)
    if not np.isfinite(best):
        return np.inf, np.inf
    out = back = exchange = served = u = 0.0
    of_group = np.full(groups, -1, np.int64)
    for n in range(devices):
        g = group[n]
        if of_group[g] < 0:
            of_group[g] = picked(rounds, costs, weights[g], g, prices[0], prices[1])
        b = of_group[g]
        own = cut
        if apart:
            own = cut_of_pick(tables, server, sizes, most, cut, high, n, b)
        cuts[n], batches[n] = own, b
        out = max(out, sizes[b] * tables[0, n, own])
        back = max(back, sizes[b] * tables[1, n, own])
        exchange = max(exchange, tables[2, n, own])
        served += sizes[b] * server[own]
        u += rounds[b]
    return bound, u / devices * (out + back + served + exchange / interval)
