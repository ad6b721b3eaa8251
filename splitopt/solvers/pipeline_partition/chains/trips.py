"""Compiled loops: the least latency of a chain whose period is at most a cap.

The same states as for the period, with the least seconds so far in place of yes or no. A run of
layers that may begin anywhere in an interval is a sliding-window minimum.
"""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.compiling import compiled
from splitopt.solvers.pipeline_partition.chains.layout import LINKS, Chains
from splitopt.solvers.pipeline_partition.chains.tables import computing, occupied
from splitopt.solvers.pipeline_partition.chains.windows import Windows


@compiled
def least_trips(chains: Chains, cap: float, windows: Windows) -> FloatArray:
    """Find the least seconds to each boundary in the windows of a cap, (windows.offset[-1],)."""
    layers = chains.up.shape[0] - 1
    offset, needed, furthest = windows.offset, windows.needed, windows.furthest
    trips = np.full(offset[-1], np.inf)
    trips[0] = 0.0
    sums = _capped_sums(chains, cap)
    starts = np.full(layers + 1, np.inf)
    queue = np.empty(layers + 1, dtype=np.int64)
    keys = np.empty(layers + 1)
    for group in range(chains.group_first.shape[0] - 1):
        head, tail = chains.group_first[group], chains.group_first[group + 1]
        if offset[tail] == offset[head]:
            continue
        lowest, highest = layers + 1, -1
        for vertex in range(head, tail):
            if offset[vertex + 1] > offset[vertex]:
                lowest = min(lowest, needed[vertex])
                highest = max(highest, furthest[vertex])
        move, last = chains.move_first[group], chains.move_first[group + 1]
        while move < last:
            klass = chains.kind_class[chains.move_kind[move]]
            collected = False
            while move < last and chains.kind_class[chains.move_kind[move]] == klass:
                to, kind = chains.move_to[move], chains.move_kind[move]
                move += 1
                if offset[to + 1] == offset[to]:
                    continue
                if not collected:
                    for vertex in range(head, tail):
                        _depart(chains, cap, windows, trips, vertex, klass, starts)
                    collected = True
                if chains.interface == LINKS:
                    _slide(
                        windows, trips, starts, sums[kind], lowest, highest, kind, to, queue, keys
                    )
                else:
                    _try_runs(chains, cap, windows, trips, starts, lowest, highest, kind, to)
            if collected:
                starts[lowest : highest + 1] = np.inf
    return trips


@compiled
def _capped_sums(chains: Chains, cap: float) -> FloatArray:
    """Sum the seconds of layers, none above the cap: such a layer is in no run anyway."""
    kinds, layers = chains.layer_s.shape
    sums = np.zeros((kinds, layers + 1))
    for kind in range(kinds):
        for layer in range(layers):
            sums[kind, layer + 1] = sums[kind, layer] + min(cap, chains.layer_s[kind, layer])
    return sums


@compiled
def _depart(
    chains: Chains,
    cap: float,
    windows: Windows,
    trips: FloatArray,
    vertex: int,
    klass: int,
    starts: FloatArray,
) -> None:
    """Lower the seconds at which a node of a link class can begin, over the link from a vertex."""
    begin = windows.offset[vertex]
    width = windows.offset[vertex + 1] - begin
    low = windows.needed[vertex]
    row = chains.row[chains.vertex_class[vertex], klass]
    busy, trip = chains.busy_s[row], chains.trip_s[row]
    for i in range(width):
        seconds = trips[begin + i] + trip[low + i] if busy[low + i] <= cap else np.inf
        starts[low + i] = min(starts[low + i], seconds)


@compiled
def _slide(
    windows: Windows,
    trips: FloatArray,
    starts: FloatArray,
    sums: FloatArray,
    lowest: int,
    highest: int,
    kind: int,
    to: int,
    queue: IntArray,
    keys: FloatArray,
) -> None:
    """Lower the seconds at the ends of runs: a minimum over a window of starts that slides."""
    low, high, begin = windows.needed[to], windows.furthest[to], windows.offset[to]
    ends = windows.ends[kind]
    head = tail = 0
    for cut in range(max(lowest, windows.near[kind, low]) + 1, high + 1):
        start = cut - 1
        if start <= highest and starts[start] < np.inf:
            key = starts[start] - sums[start]
            while tail > head and keys[tail - 1] >= key:
                tail -= 1
            queue[tail], keys[tail] = start, key
            tail += 1
        while head < tail and ends[queue[head]] < cut:
            head += 1
        if cut >= low and head < tail:
            place = begin + cut - low
            trips[place] = min(trips[place], keys[head] + sums[cut])


@compiled
def _try_runs(
    chains: Chains,
    cap: float,
    windows: Windows,
    trips: FloatArray,
    starts: FloatArray,
    lowest: int,
    highest: int,
    kind: int,
    to: int,
) -> None:
    """Lower the seconds at the ends of runs, trying each of them with its interface."""
    low, high, begin = windows.needed[to], windows.furthest[to], windows.offset[to]
    for start in range(max(lowest, windows.near[kind, low]), highest + 1):
        if starts[start] == np.inf:
            continue
        for end in range(max(low, start + 1), min(high, windows.ends[kind, start]) + 1):
            place = begin + end - low
            seconds = starts[start] + computing(chains, kind, start, end)
            if seconds < trips[place] and occupied(chains, kind, start, end) <= cap:
                trips[place] = seconds


@compiled
def retrace(
    chains: Chains,
    cap: float,
    windows: Windows,
    trips: FloatArray,
    kinds: IntArray,
    cuts: IntArray,
) -> tuple[int, float, float]:
    """Follow the chain of the least latency back from its end.

    Parameters
    ----------
    kinds, cuts
        Room for one entry per group; filled in reverse, see `reach.trace`.

    Returns
    -------
    length
        Number of nodes; 0 if no chain keeps to the cap.
    latency, period
        Of the chain, in s, without the transfers of owners.
    """
    layers = chains.up.shape[0] - 1
    vertex, least = -1, np.inf
    for candidate in range(chains.accept.shape[0]):
        held = windows.offset[candidate + 1] > windows.offset[candidate]
        if held and chains.accept[candidate] and windows.furthest[candidate] == layers:
            seconds = trips[windows.offset[candidate + 1] - 1]
            if seconds < least:
                vertex, least = candidate, seconds
    if vertex < 0:
        return 0, np.inf, np.inf
    end, length, latency, period = layers, 0, 0.0, 0.0
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
                    seconds, start = _quickest(chains, cap, windows, trips, before, kind, end)
                    if seconds < best:
                        best, best_vertex, best_kind, best_start = seconds, before, kind, start
        row = chains.row[chains.vertex_class[best_vertex], chains.kind_class[best_kind]]
        latency += computing(chains, best_kind, best_start, end) + chains.trip_s[row, best_start]
        period = max(period, occupied(chains, best_kind, best_start, end))
        period = max(period, chains.busy_s[row, best_start])
        kinds[length], cuts[length] = best_kind, end
        length += 1
        vertex, end = best_vertex, best_start
    return length, latency, period


@compiled
def _quickest(
    chains: Chains,
    cap: float,
    windows: Windows,
    trips: FloatArray,
    before: int,
    kind: int,
    end: int,
) -> tuple[float, int]:
    """Find the start of the last run, after a vertex, that ends at the least seconds."""
    best, best_start = np.inf, -1
    low, begin = windows.needed[before], windows.offset[before]
    if windows.offset[before + 1] == begin:
        return best, best_start
    row = chains.row[chains.vertex_class[before], chains.kind_class[kind]]
    for start in range(low, min(windows.furthest[before], end - 1) + 1):
        if windows.ends[kind, start] < end or chains.busy_s[row, start] > cap:
            continue
        seconds = trips[begin + start - low] + chains.trip_s[row, start]
        if chains.interface != LINKS and occupied(chains, kind, start, end) > cap:
            continue
        seconds += computing(chains, kind, start, end)
        if seconds < best:
            best, best_start = seconds, start
    return best, best_start
