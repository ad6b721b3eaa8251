"""Compiled loops: the least latency of a chain whose period is at most a cap.

The same states as for the period, with the least seconds so far in place of yes or no. A run of
layers that may begin anywhere in an interval is a sliding-window minimum.
"""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.compiling import compiled, helper
from splitopt.solvers.pipeline_partition.chains.spans import computing, extent, occupied
from splitopt.solvers.pipeline_partition.chains.state import (
    LINKS,
    Graph,
    LinkTables,
    Nodes,
    Windows,
)


@compiled
def least_trips(
    cap: float,
    nodes: Nodes,
    links: LinkTables,
    graph: Graph,
    windows: Windows,
    capped: FloatArray,
) -> FloatArray:
    """Find the least seconds to each boundary in the windows of a cap, (offset[-1],).

    Parameters
    ----------
    capped
        Shape (T, S + 1): running sums of the seconds of layers, none above the cap: such a layer
        is in no run anyway, and would drown the others.
    """
    kind_class, row, link_s = links.kind_class, links.row, links.link_s
    groups, vertices, moves = graph.groups, graph.vertices, graph.moves
    spans, reach, offset = windows.spans, windows.reach, windows.offset
    sums, interface, layers = nodes.sums, nodes.interface, spans.shape[2] - 1
    trips = np.full(offset[-1], np.inf)
    trips[0] = 0.0
    starts = np.full(layers + 1, np.inf)
    queue = np.empty(layers + 1, dtype=np.int64), np.empty(layers + 1)
    # A state is a vertex and a boundary in its window. Moves lead to later groups only, so that one
    # sweep over the groups settles all states.
    for group in range(groups.shape[1] - 1):
        head, tail = groups[0, group], groups[0, group + 1]
        if offset[tail] == offset[head]:
            continue
        lowest, highest = extent(windows, head, tail)
        # All moves to one link class cross the same links: their starts are collected once.
        move, last = groups[1, group], groups[1, group + 1]
        while move < last:
            klass = kind_class[moves[0, move]]
            collected = False
            while move < last and kind_class[moves[0, move]] == klass:
                kind, to = moves[0, move], moves[1, move]
                move += 1
                if offset[to + 1] == offset[to]:
                    continue
                if not collected:
                    for vertex in range(head, tail):
                        link = row[vertices[0, vertex], klass]
                        _depart(cap, link_s[:, link], windows, trips, vertex, starts)
                    collected = True
                if interface == LINKS:
                    between = (lowest, highest)
                    _slide(trips, starts, between, capped[kind], windows, kind, to, queue)
                    continue
                # With an interface a longer run may be within the cap where a shorter one is not,
                # see `occupied`: every end is tried, up to what computing alone allows.
                low, high, begin = reach[1, to], reach[0, to], offset[to]
                for start in range(max(lowest, spans[2, kind, low]), highest + 1):
                    if starts[start] == np.inf:
                        continue
                    top = min(high, spans[0, kind, start])
                    for end in range(max(low, start + 1), top + 1):
                        seconds = starts[start] + computing(sums, 0, kind, start, end)
                        if seconds < trips[begin + end - low] and cap >= occupied(
                            nodes, kind, start, end
                        ):
                            trips[begin + end - low] = seconds
            if collected:
                starts[lowest : highest + 1] = np.inf
    return trips


@helper
def _depart(
    cap: float,
    link_s: FloatArray,
    windows: Windows,
    trips: FloatArray,
    vertex: int,
    starts: FloatArray,
) -> None:
    """Lower the seconds at which a node can begin, over a link from a vertex."""
    offset = windows.offset
    begin, low = offset[vertex], windows.reach[1, vertex]
    busy, trip = link_s[0], link_s[1]
    for i in range(offset[vertex + 1] - begin):
        seconds = trips[begin + i] + trip[low + i] if busy[low + i] <= cap else np.inf
        starts[low + i] = min(starts[low + i], seconds)


@helper
def _slide(
    trips: FloatArray,
    starts: FloatArray,
    between: tuple[int, int],
    capped: FloatArray,
    windows: Windows,
    kind: int,
    to: int,
    queue: tuple[IntArray, FloatArray],
) -> None:
    """Lower the seconds at the ends of runs: a minimum over a window of starts that slides.

    A run from a to c takes ``capped[c] - capped[a]``, so that the best start for c is the one with
    the least ``starts[a] - capped[a]`` among those whose longest run reaches c. As neither end of
    that window moves back, a queue of rising keys has it at its head.
    """
    lowest, highest = between
    places, keys = queue
    spans, reach = windows.spans, windows.reach
    low, high, begin = reach[1, to], reach[0, to], windows.offset[to]
    ends = spans[0, kind]
    head = tail = 0
    for cut in range(max(lowest, spans[2, kind, low]) + 1, high + 1):
        start = cut - 1
        if start <= highest and starts[start] < np.inf:
            key = starts[start] - capped[start]
            while tail > head and keys[tail - 1] >= key:
                tail -= 1  # it ends no later and costs no less: never the best again
            places[tail], keys[tail] = start, key
            tail += 1
        while head < tail and ends[places[head]] < cut:
            head += 1
        if cut >= low and head < tail:
            place = begin + cut - low
            trips[place] = min(trips[place], keys[head] + capped[cut])


@compiled
def retrace(
    cap: float,
    nodes: Nodes,
    links: LinkTables,
    graph: Graph,
    windows: Windows,
    trips: FloatArray,
    chain: IntArray,
) -> tuple[int, float, float]:
    """Follow the chain of the least latency back from its end.

    Parameters
    ----------
    chain
        Shape (2, N), written: kinds and ends of runs, the last node first.

    Returns
    -------
    length
        Number of nodes; 0 if no chain keeps to the cap.
    latency, period
        Of the chain, in s, without the transfers of owners.
    """
    kind_class, row, link_s = links.kind_class, links.row, links.link_s
    groups, vertices, moves = graph.groups, graph.vertices, graph.moves
    spans, reach, offset = windows.spans, windows.reach, windows.offset
    sums, interface, layers = nodes.sums, nodes.interface, spans.shape[2] - 1
    vertex, least = -1, np.inf
    for candidate in range(vertices.shape[1]):
        held = offset[candidate + 1] > offset[candidate]
        if held and vertices[1, candidate] and reach[0, candidate] == layers:
            seconds = trips[offset[candidate + 1] - 1]
            if seconds < least:
                vertex, least = candidate, seconds
    if vertex < 0:
        return 0, np.inf, np.inf
    end, length, latency, period = layers, 0, 0.0, 0.0
    while vertex > 0:
        # The sums here are more exact than those of the sweep, which only has to find the order
        # of candidates: the last step is the one that gives the least of them.
        best, best_vertex, best_kind, best_start = np.inf, -1, -1, -1
        for group in range(groups.shape[1] - 1):
            if groups[0, group] >= vertex:
                break  # moves lead to later groups only
            for move in range(groups[1, group], groups[1, group + 1]):
                if moves[1, move] != vertex:
                    continue
                kind = moves[0, move]
                for before in range(groups[0, group], groups[0, group + 1]):
                    link = row[vertices[0, before], kind_class[kind]]
                    low, begin = reach[1, before], offset[before]
                    high = min(low + offset[before + 1] - begin - 1, end - 1)
                    for start in range(low, high + 1):
                        if spans[0, kind, start] < end or link_s[0, link, start] > cap:
                            continue
                        if interface != LINKS and cap < occupied(nodes, kind, start, end):
                            continue
                        seconds = trips[begin + start - low] + link_s[1, link, start]
                        seconds += computing(sums, 0, kind, start, end)
                        if seconds < best:
                            best, best_vertex, best_kind, best_start = seconds, before, kind, start
        link = row[vertices[0, best_vertex], kind_class[best_kind]]
        latency += computing(sums, 0, best_kind, best_start, end) + link_s[1, link, best_start]
        busy = occupied(nodes, best_kind, best_start, end)
        period = max(period, busy, link_s[0, link, best_start])
        chain[0, length], chain[1, length] = best_kind, end
        length += 1
        vertex, end = best_vertex, best_start
    return length, latency, period
