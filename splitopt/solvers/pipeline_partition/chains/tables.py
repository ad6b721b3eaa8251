"""Compiled loops: running sums in twice the precision, and what a cap on the period allows.

Sums of a run of layers are differences of running sums. A pair of floats for each keeps such a
difference exact to the last bits even where a slow layer elsewhere is many times larger.
"""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import FloatArray
from splitopt.problems.compiling import compiled
from splitopt.solvers.pipeline_partition.chains.graph import Index
from splitopt.solvers.pipeline_partition.chains.layout import (
    LINKS,
    NIC_HALF,
    SERIAL_FULL,
    SERIAL_HALF,
    Chains,
)


@compiled
def running_sums(one: FloatArray, other: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sum two tables (T, S) along S: pairs of floats (T, S + 1) that begin with 0."""
    rows, columns = one.shape
    high = np.zeros((rows, columns + 1))
    low = np.zeros((rows, columns + 1))
    for row in range(rows):
        total, rest = 0.0, 0.0
        for column in range(columns):
            for value in (one[row, column], other[row, column]):
                grown = total + value
                part = grown - total
                rest += (total - (grown - part)) + (value - part)
                total = grown
            high[row, column + 1] = total + rest
            low[row, column + 1] = rest - (high[row, column + 1] - total)
    return high, low


@compiled
def memory_ends(layer_bytes: FloatArray, owners: float, capacity_bytes: FloatArray) -> Index:
    """Find where the longest run from each layer ends that fits each capacity, (T, S + 1)."""
    layers = layer_bytes.shape[0]
    table = np.zeros((1, layers))
    table[0] = layer_bytes
    high, low = running_sums(table, np.zeros((1, layers)))
    ends = np.empty((capacity_bytes.shape[0], layers + 1), dtype=np.int32)
    for kind in range(capacity_bytes.shape[0]):
        end = 0
        for start in range(layers + 1):
            end = max(end, start)
            while end < layers:
                need = (high[0, end + 1] - high[0, start]) + (low[0, end + 1] - low[0, start])
                if owners * need > capacity_bytes[kind]:
                    break
                end += 1
            ends[kind, start] = end
    return ends


@compiled
def computing(chains: Chains, kind: int, start: int, end: int) -> float:
    """Seconds per batch that a kind of node computes for the layers ``start`` to ``end - 1``."""
    high, low = chains.time_high[kind], chains.time_low[kind]
    return float((high[end] - high[start]) + (low[end] - low[start]))


@compiled
def exchanging(chains: Chains, kind: int, start: int, end: int) -> float:
    """Seconds per batch that its interface is busy for these layers; 0 where it has none."""
    if chains.interface == LINKS:
        return 0.0
    received = chains.up[start] + chains.down[end]
    sent = chains.up[end] + chains.down[start]
    if chains.interface == NIC_HALF or chains.interface == SERIAL_HALF:
        return float((received + sent) / chains.rate[kind])
    return float(max(received, sent) / chains.rate[kind])


@compiled
def occupied(chains: Chains, kind: int, start: int, end: int) -> float:
    """Seconds per batch that a node's busiest resource needs for these layers."""
    work, talk = computing(chains, kind, start, end), exchanging(chains, kind, start, end)
    return work + talk if chains.interface >= SERIAL_FULL else max(work, talk)


@compiled
def longest_runs(chains: Chains, cap: float, ends: Index) -> None:
    """Fill `ends` (T, S + 1): where the longest run from each layer ends, by time and memory.

    Interfaces are left out: with them, a longer run can be possible where a shorter one is not.
    """
    kinds, width = ends.shape
    for kind in range(kinds):
        end = 0
        for start in range(width):
            end = max(end, start)
            last = chains.memory_end[kind, start]
            while end < last and computing(chains, kind, start, end + 1) <= cap:
                end += 1
            ends[kind, start] = end


@compiled
def reaches(chains: Chains, cap: float, ends: Index, far: Index, near: Index) -> None:
    """Fill what a run of layers can span under a cap, both (T, S + 1).

    ``far[t, c]`` is the last boundary where a run that begins at c or before can end (-1: none),
    ``near[t, c]`` the first boundary where a run that ends at c or after can begin (S + 1: none).
    """
    kinds, width = ends.shape
    plain = chains.interface == LINKS
    for kind in range(kinds):
        best = -1
        for start in range(width):
            end = ends[kind, start]
            if not plain:
                while end > start and occupied(chains, kind, start, end) > cap:
                    end -= 1
            if end > start and end > best:
                best = end
            far[kind, start] = best
        start = width - 1
        best = width
        for end in range(width - 1, -1, -1):
            start = min(start, end)
            while start > 0 and ends[kind, start - 1] >= end:
                start -= 1
            begin = start
            if not plain:
                while begin < end and occupied(chains, kind, begin, end) > cap:
                    begin += 1
            if begin < end and begin < best:
                best = begin
            near[kind, end] = best


@compiled
def crossings(chains: Chains, cap: float, below: Index, above: Index) -> None:
    """Fill the nearest boundaries that each link can carry under a cap, both (R, S + 1).

    ``below[r, c]`` is the last one up to c (-1: none), ``above[r, c]`` the first one from c on
    (S + 1: none). Infinite seconds are no link, whatever the cap.
    """
    rows, width = below.shape
    for row in range(rows):
        busy, trip = chains.busy_s[row], chains.trip_s[row]
        last = -1
        for cut in range(width):
            if busy[cut] <= cap and trip[cut] < np.inf:
                last = cut
            below[row, cut] = last
        last = width
        for cut in range(width - 1, -1, -1):
            if busy[cut] <= cap and trip[cut] < np.inf:
                last = cut
            above[row, cut] = last
