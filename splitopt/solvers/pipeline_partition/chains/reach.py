"""Compiled loops: which boundaries each vertex reaches under a cap, exactly, and a chain that does.

With links that differ, "the furthest boundary is enough" is false: only some boundaries are cheap
enough to be crossed by the next pair of nodes. So every vertex keeps the set of its boundaries.
"""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import BoolArray, IntArray
from splitopt.problems.compiling import compiled
from splitopt.solvers.pipeline_partition.chains.layout import LINKS, Chains
from splitopt.solvers.pipeline_partition.chains.tables import occupied
from splitopt.solvers.pipeline_partition.chains.windows import Windows


@compiled
def reach(chains: Chains, cap: float, windows: Windows) -> tuple[int, BoolArray]:
    """Find what is reached in the windows of a cap.

    Returns
    -------
    vertex
        One in which all layers are hosted and the chain may end; -1 if there is none.
    reached
        Shape (windows.offset[-1],): whether each vertex is at each boundary of its window.
    """
    layers = chains.up.shape[0] - 1
    offset, needed, furthest = windows.offset, windows.needed, windows.furthest
    reached = np.zeros(offset[-1], dtype=np.bool_)
    reached[0] = True  # the empty chain at boundary 0
    starts = np.zeros(layers + 1, dtype=np.bool_)
    for group in range(chains.group_first.shape[0] - 1):
        head, tail = chains.group_first[group], chains.group_first[group + 1]
        if offset[tail] == offset[head]:
            continue
        move, last = chains.move_first[group], chains.move_first[group + 1]
        while move < last:
            klass = chains.kind_class[chains.move_kind[move]]
            lowest, highest = layers + 1, -1
            for vertex in range(head, tail):
                if offset[vertex + 1] > offset[vertex]:
                    lowest = min(lowest, needed[vertex])
                    highest = max(highest, furthest[vertex])
            collected = False
            while move < last and chains.kind_class[chains.move_kind[move]] == klass:
                to, kind = chains.move_to[move], chains.move_kind[move]
                move += 1
                if offset[to + 1] == offset[to]:
                    continue
                if not collected:
                    _collect(chains, cap, windows, reached, head, tail, klass, starts)
                    collected = True
                if chains.interface == LINKS:
                    _run_on(windows, reached, starts, lowest, highest, kind, to)
                else:
                    _try_runs(chains, cap, windows, reached, starts, lowest, highest, kind, to)
            if collected:
                starts[lowest : highest + 1] = False
    for vertex in range(chains.accept.shape[0]):
        if chains.accept[vertex] and offset[vertex + 1] > offset[vertex]:
            place = offset[vertex] + layers - needed[vertex]
            if furthest[vertex] == layers and reached[place]:
                return vertex, reached
    return -1, reached


@compiled
def _collect(
    chains: Chains,
    cap: float,
    windows: Windows,
    reached: BoolArray,
    head: int,
    tail: int,
    klass: int,
    starts: BoolArray,
) -> None:
    """Mark where a node of a link class can begin after the vertices ``head`` to ``tail - 1``."""
    for vertex in range(head, tail):
        begin = windows.offset[vertex]
        width = windows.offset[vertex + 1] - begin
        low = windows.needed[vertex]
        row = chains.row[chains.vertex_class[vertex], klass]
        busy, trip = chains.busy_s[row], chains.trip_s[row]
        for i in range(width):
            can = reached[begin + i] & (busy[low + i] <= cap) & (trip[low + i] < np.inf)
            starts[low + i] |= can


@compiled
def _run_on(
    windows: Windows,
    reached: BoolArray,
    starts: BoolArray,
    lowest: int,
    highest: int,
    kind: int,
    to: int,
) -> None:
    """Mark where runs of layers end that may end anywhere up to their longest."""
    low, high, begin = windows.needed[to], windows.furthest[to], windows.offset[to]
    ends = windows.ends[kind]
    end = -1
    for cut in range(max(lowest, windows.near[kind, low]), high + 1):
        if cut <= end and cut >= low:
            reached[begin + cut - low] = True
        if cut <= highest:
            if starts[cut]:
                end = max(end, ends[cut])
        elif cut > end:
            break


@compiled
def _try_runs(
    chains: Chains,
    cap: float,
    windows: Windows,
    reached: BoolArray,
    starts: BoolArray,
    lowest: int,
    highest: int,
    kind: int,
    to: int,
) -> None:
    """Mark where runs of layers end, trying each of them with its interface."""
    low, high, begin = windows.needed[to], windows.furthest[to], windows.offset[to]
    for start in range(max(lowest, windows.near[kind, low]), highest + 1):
        if starts[start]:
            for end in range(max(low, start + 1), min(high, windows.ends[kind, start]) + 1):
                place = begin + end - low
                if not reached[place] and occupied(chains, kind, start, end) <= cap:
                    reached[place] = True


@compiled
def trace(
    chains: Chains,
    cap: float,
    windows: Windows,
    reached: BoolArray,
    vertex: int,
    kinds: IntArray,
    cuts: IntArray,
) -> tuple[int, float]:
    """Follow a chain back from a vertex at the end, by the least busy step each time.

    Parameters
    ----------
    kinds, cuts
        Room for one entry per group; filled from the front in reverse: the last node first.

    Returns
    -------
    length
        Number of nodes.
    period
        What its busiest resource needs, in s.
    """
    end = chains.up.shape[0] - 1
    length, period = 0, 0.0
    while vertex > 0:
        best, best_vertex, best_kind, best_start = np.inf, -1, -1, -1
        for group in range(chains.group_first.shape[0] - 1):
            if chains.group_first[group] >= vertex:
                break
            for move in range(chains.move_first[group], chains.move_first[group + 1]):
                if chains.move_to[move] != vertex:
                    continue
                kind = chains.move_kind[move]
                for before in range(chains.group_first[group], chains.group_first[group + 1]):
                    step, start = _least_step(chains, cap, windows, reached, before, kind, end)
                    if start >= 0 and step < best:
                        best, best_vertex, best_kind, best_start = step, before, kind, start
        kinds[length], cuts[length] = best_kind, end
        length += 1
        period = max(period, best)
        vertex, end = best_vertex, best_start
    return length, period


@compiled
def _least_step(
    chains: Chains,
    cap: float,
    windows: Windows,
    reached: BoolArray,
    before: int,
    kind: int,
    end: int,
) -> tuple[float, int]:
    """Find the start of the last run, after a vertex, that leaves its resources least busy."""
    best, best_start = np.inf, -1
    low, begin = windows.needed[before], windows.offset[before]
    row = chains.row[chains.vertex_class[before], chains.kind_class[kind]]
    high = min(windows.furthest[before], end - 1)
    if windows.offset[before + 1] == begin:
        return best, best_start
    for start in range(low, high + 1):
        if not reached[begin + start - low] or windows.ends[kind, start] < end:
            continue
        link = chains.busy_s[row, start]
        if link > cap or chains.trip_s[row, start] == np.inf:
            continue
        step = max(link, occupied(chains, kind, start, end))
        if chains.interface != LINKS and step > cap:
            continue
        if step < best:
            best, best_start = step, start
    return best, best_start
