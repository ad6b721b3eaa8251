"""Compiled loops: which boundaries each vertex reaches under a cap, exactly, and a chain that does.

With links that differ, "the furthest boundary is enough" is false: only some boundaries are cheap
enough to be crossed by the next pair of nodes. So every vertex keeps the set of its boundaries.
"""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.compiling import compiled, helper
from splitopt.solvers.pipeline_partition.chains.spans import extent, occupied
from splitopt.solvers.pipeline_partition.chains.state import (
    LINKS,
    Graph,
    LinkTables,
    Nodes,
    Windows,
)


@compiled
def reach_all(
    cap: float,
    nodes: Nodes,
    links: LinkTables,
    graph: Graph,
    windows: Windows,
) -> tuple[int, BoolArray]:
    """Find what is reached in the windows of a cap.

    Returns
    -------
    vertex
        One in which all layers are hosted and the chain may end; -1 if there is none.
    reached
        Shape (offset[-1],): whether each vertex is at each boundary of its window.
    """
    kind_class, row, link_s = links.kind_class, links.row, links.link_s
    groups, vertices, moves = graph.groups, graph.vertices, graph.moves
    spans, reach, offset = windows.spans, windows.reach, windows.offset
    interface, layers = nodes.interface, spans.shape[2] - 1
    reached = np.zeros(offset[-1], dtype=np.bool_)
    reached[0] = True  # the empty chain at boundary 0
    starts = np.zeros(layers + 1, dtype=np.bool_)
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
                        _start_after(cap, link_s[:, link], windows, reached, vertex, starts)
                    collected = True
                if interface == LINKS:
                    _run_on(reached, starts, (lowest, highest), windows, kind, to)
                else:
                    # With an interface a longer run may be within the cap where a shorter one is
                    # not, see `occupied`: every end is tried, up to what computing alone allows.
                    low, high, begin = reach[1, to], reach[0, to], offset[to]
                    for start in range(max(lowest, spans[2, kind, low]), highest + 1):
                        if not starts[start]:
                            continue
                        top = min(high, spans[0, kind, start])
                        for end in range(max(low, start + 1), top + 1):
                            if not reached[begin + end - low] and cap >= occupied(
                                nodes, kind, start, end
                            ):
                                reached[begin + end - low] = True
            if collected:
                starts[lowest : highest + 1] = False
    for vertex in range(vertices.shape[1]):
        if vertices[1, vertex] and offset[vertex + 1] > offset[vertex]:
            place = offset[vertex] + layers - reach[1, vertex]
            if reach[0, vertex] == layers and reached[place]:
                return vertex, reached
    return -1, reached


@helper
def _start_after(
    cap: float,
    link_s: FloatArray,
    windows: Windows,
    reached: BoolArray,
    vertex: int,
    starts: BoolArray,
) -> None:
    """Mark where a node can begin over a link from a vertex: reached, and within the cap."""
    offset = windows.offset
    begin, low = offset[vertex], windows.reach[1, vertex]
    busy, trip = link_s[0], link_s[1]
    for i in range(offset[vertex + 1] - begin):
        can = reached[begin + i] & (busy[low + i] <= cap) & (trip[low + i] < np.inf)
        starts[low + i] |= can


@helper
def _run_on(
    reached: BoolArray,
    starts: BoolArray,
    between: tuple[int, int],
    windows: Windows,
    kind: int,
    to: int,
) -> None:
    """Mark where runs of layers end that may end anywhere up to their longest.

    One pass is enough: a boundary is an end if the longest run from any start before reaches it,
    and ``end`` is the furthest of these.
    """
    lowest, highest = between
    spans, reach = windows.spans, windows.reach
    low, high, begin = reach[1, to], reach[0, to], windows.offset[to]
    ends = spans[0, kind]
    end = -1
    for cut in range(max(lowest, spans[2, kind, low]), high + 1):
        if cut <= end and cut >= low:
            reached[begin + cut - low] = True
        if cut <= highest:
            if starts[cut]:
                end = max(end, ends[cut])
        elif cut > end:
            break


@compiled
def trace(
    cap: float,
    nodes: Nodes,
    links: LinkTables,
    graph: Graph,
    windows: Windows,
    reached: BoolArray,
    vertex: int,
    chain: IntArray,
) -> tuple[int, float]:
    """Follow a chain back from a vertex at the end, by the least busy step each time.

    Parameters
    ----------
    chain
        Shape (2, N), written: kinds and ends of runs, the last node first.

    Returns
    -------
    length
        Number of nodes.
    period
        What its busiest resource needs, in s.
    """
    kind_class, row, link_s = links.kind_class, links.row, links.link_s
    groups, vertices, moves = graph.groups, graph.vertices, graph.moves
    spans, reach, offset = windows.spans, windows.reach, windows.offset
    interface, end = nodes.interface, spans.shape[2] - 1
    length, period = 0, 0.0
    while vertex > 0:
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
                        # A step back: the state was reached, its run may be so long, the link is
                        # within the cap and carries something, and so is the node's interface.
                        if not reached[begin + start - low] or spans[0, kind, start] < end:
                            continue
                        busy = link_s[0, link, start]
                        if busy > cap or link_s[1, link, start] == np.inf:
                            continue
                        step = occupied(nodes, kind, start, end)
                        step = max(busy, step)
                        if (interface == LINKS or step <= cap) and step < best:
                            best, best_vertex, best_kind, best_start = step, before, kind, start
        chain[0, length], chain[1, length] = best_kind, end
        length += 1
        period = max(period, best)
        vertex, end = best_vertex, best_start
    return length, period
