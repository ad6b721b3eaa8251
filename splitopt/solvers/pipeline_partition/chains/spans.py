"""Compiled loops: running sums in twice the precision, and what caps on the sums allow.

Sums of a run of layers are differences of running sums. A pair of floats for each keeps such a
difference exact to the last bits even where a slow layer elsewhere is many times larger.
"""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import FloatArray
from splitopt.problems.compiling import compiled, helper
from splitopt.solvers.pipeline_partition.chains.state import (
    LINKS,
    NIC_HALF,
    SERIAL_FULL,
    SERIAL_HALF,
    Index,
    Nodes,
    Windows,
)


@compiled
def running_sums(values: FloatArray) -> FloatArray:
    """Sum tables (Q, T, S), all Q of a place at once, along S: pairs (2, T, S + 1) from 0 on."""
    tables, rows, columns = values.shape
    sums = np.zeros((2, rows, columns + 1))
    for row in range(rows):
        total, rest = 0.0, 0.0
        for column in range(columns):
            for table in range(tables):
                # Knuth's TwoSum: total + value = grown + what goes into the rest, exactly.
                value = values[table, row, column]
                grown = total + value
                part = grown - total
                rest += (total - (grown - part)) + (value - part)
                total = grown
            sums[0, row, column + 1] = total + rest
            sums[1, row, column + 1] = rest - (sums[0, row, column + 1] - total)
    return sums


@helper
def computing(sums: FloatArray, table: int, kind: int, start: int, end: int) -> float:
    """Sum of a table for the layers ``start`` to ``end - 1`` on a kind of node."""
    high, low = sums[table, 0, kind], sums[table, 1, kind]
    return float((high[end] - high[start]) + (low[end] - low[start]))


@helper
def occupied(nodes: Nodes, kind: int, start: int, end: int) -> float:
    """Seconds per batch that a node's busiest resource needs for these layers."""
    work, interface = computing(nodes.sums, 0, kind, start, end), nodes.interface
    if interface == LINKS:
        return work
    cut_bytes, rate = nodes.cut_bytes, nodes.rate
    received = cut_bytes[0, start] + cut_bytes[1, end]
    sent = cut_bytes[0, end] + cut_bytes[1, start]
    if interface in (NIC_HALF, SERIAL_HALF):
        talk = (received + sent) / rate[kind]
    else:
        talk = max(received, sent) / rate[kind]
    return float(work + talk if interface >= SERIAL_FULL else max(work, talk))


@helper
def extent(windows: Windows, head: int, tail: int) -> tuple[int, int]:
    """Return the lowest and highest boundary in the windows of the vertices head .. tail - 1.

    Nothing outside can be a start.
    """
    reach, offset = windows.reach, windows.offset
    lowest, highest = windows.spans.shape[2], -1
    for vertex in range(head, tail):
        if offset[vertex + 1] > offset[vertex]:
            lowest, highest = min(lowest, reach[1, vertex]), max(highest, reach[0, vertex])
    return lowest, highest


@compiled
def longest_runs(
    sums: FloatArray, memory_end: Index, caps: FloatArray, ends: Index
) -> tuple[float, float]:
    """Fill where the longest run of each kind from each layer ends, by memory and caps.

    Interfaces are left out here: with them, a longer run can be possible where a shorter one is
    not.

    Parameters
    ----------
    caps
        Shape (P,): what a run's sum in each table may be.
    ends
        Shape (T, S + 1), written.

    Returns
    -------
    The largest sum of the longest runs, and the least of runs that are one layer longer: no cap
    between them changes `ends`. For one table only.
    """
    kinds, width = ends.shape
    below, above = 0.0, np.inf
    for kind in range(kinds):
        for start in range(width):
            ends[kind, start] = memory_end[kind, start]
        for table in range(len(caps)):
            # Both ends of the longest run move on only, as no sum of a run falls when it gets a
            # layer; and the run that keeps to all caps is the shortest of those for each cap.
            high, low, cap = sums[table, 0, kind], sums[table, 1, kind], caps[table]
            end = 0
            for start in range(width):
                end = max(end, start)
                last = ends[kind, start]
                first, rest = high[start], low[start]
                while end < last:
                    value = (high[end + 1] - first) + (low[end + 1] - rest)
                    if value > cap:
                        above = min(above, value)
                        break
                    end += 1
                end = min(end, last)
                ends[kind, start] = end
                below = max(below, (high[end] - first) + (low[end] - rest))
    return below, above


@compiled
def fill_spans(
    nodes: Nodes, cap: float, link_s: FloatArray, spans: Index, crossings: Index
) -> None:
    """Fill what runs of layers can span, and where links can be crossed, under a cap.

    Parameters
    ----------
    cap
        What links and interfaces may be busy.
    spans
        Shape (3, T, S + 1). ``ends``, see `longest_runs`. ``far[t, c]``, written: the last boundary
        where a run that begins at c or before can end (-1: none). ``near[t, c]``, written: the
        first boundary where a run that ends at c or after can begin (S + 1: none).
    crossings
        Shape (2, R, S + 1), written, see `_cross`.
    """
    ends, far, near, interface = spans[0], spans[1], spans[2], nodes.interface
    kinds, width = ends.shape
    for kind in range(kinds):
        best = -1
        for start in range(width):
            end = ends[kind, start]
            if interface != LINKS:
                while end > start and cap < occupied(nodes, kind, start, end):
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
            if interface != LINKS:
                while begin < end and cap < occupied(nodes, kind, begin, end):
                    begin += 1
            if begin < end and begin < best:
                best = begin
            near[kind, end] = best
    _cross(cap, link_s, crossings)


@helper
def _cross(cap: float, link_s: FloatArray, crossings: Index) -> None:
    """Fill the nearest boundaries that each link can carry under a cap.

    ``crossings[0, r, c]`` is the last one up to c (-1: none), ``crossings[1, r, c]`` the first one
    from c on (S + 1: none). Infinite seconds are no link, whatever the cap.
    """
    rows, width = crossings.shape[1], crossings.shape[2]
    for row in range(rows):
        busy, trip = link_s[0, row], link_s[1, row]
        last = -1
        for cut in range(width):
            if busy[cut] <= cap and trip[cut] < np.inf:
                last = cut
            crossings[0, row, cut] = last
        last = width
        for cut in range(width - 1, -1, -1):
            if busy[cut] <= cap and trip[cut] < np.inf:
                last = cut
            crossings[1, row, cut] = last


@compiled
def next_occupied(nodes: Nodes, memory_end: Index, cap: float, upper: float) -> float:
    """Find the smallest value above a cap, and below `upper`, of a run with its interface."""
    found = upper
    kinds, width = memory_end.shape
    for kind in range(kinds):
        for start in range(width - 1):
            for end in range(start + 1, memory_end[kind, start] + 1):
                # Computing alone is a lower bound of the value, and does not fall with `end`.
                if computing(nodes.sums, 0, kind, start, end) >= found:
                    break
                value = occupied(nodes, kind, start, end)
                if value > cap:
                    found = min(found, value)
    return float(found)
