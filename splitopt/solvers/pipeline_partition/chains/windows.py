"""Compiled loops: where each vertex can be at all under a cap, by a relaxation.

The relaxation forgets which boundaries a vertex really reaches and keeps the furthest alone. From
the end backwards it keeps the first boundary from which the rest can still be done. Between the
two lies the window of the vertex; a cap is refuted when the empty chain has none.
"""

from __future__ import annotations

from splitopt.problems.base import IntArray
from splitopt.problems.compiling import compiled, helper
from splitopt.solvers.pipeline_partition.chains.state import Graph, Index, LinkTables, Windows


@compiled
def open_windows(links: LinkTables, graph: Graph, windows: Windows) -> bool:
    """Fill `reach` and `offset` of the windows of a cap; return False if the cap is refuted."""
    spans, crossings, vertices = windows.spans, windows.crossings, graph.vertices
    reach, offset = windows.reach, windows.offset
    layers = spans.shape[2] - 1
    _forward(spans[1], crossings[0], links, graph, reach[0])
    held = False
    for vertex in range(vertices.shape[1]):
        if vertices[1, vertex] and reach[0, vertex] >= layers:
            held = True
    if not held:
        return False
    _backward(spans[2], crossings[1], links, graph, reach)
    if reach[1, 0] > 0:
        return False
    offset[0] = 0
    for vertex in range(vertices.shape[1]):
        width = reach[0, vertex] - reach[1, vertex] + 1
        offset[vertex + 1] = offset[vertex] + max(0, width)
    return True


@helper
def _forward(
    far: Index,
    below: Index,
    links: LinkTables,
    graph: Graph,
    furthest: Index,
) -> None:
    """Find the last boundary that each vertex can be at: no run from an earlier one ends later."""
    kind_class, row = links.kind_class, links.row
    groups, vertices, moves = graph.groups, graph.vertices, graph.moves
    furthest[:] = -1
    furthest[0] = 0
    for group in range(groups.shape[1] - 1):
        move, last = groups[1, group], groups[1, group + 1]
        while move < last:
            # All moves to one class cross the same links: where the node begins is found once.
            klass = kind_class[moves[0, move]]
            start = -1
            for vertex in range(groups[0, group], groups[0, group + 1]):
                if furthest[vertex] >= 0:
                    link = row[vertices[0, vertex], klass]
                    start = max(start, below[link, furthest[vertex]])
            while move < last and kind_class[moves[0, move]] == klass:
                if start >= 0:
                    to = moves[1, move]
                    furthest[to] = max(furthest[to], far[moves[0, move], start])
                move += 1


@helper
def _backward(
    near: Index,
    above: Index,
    links: LinkTables,
    graph: Graph,
    reach: Index,
) -> None:
    """Find the first boundary from which each vertex can still get to the end (S + 1: none)."""
    kind_class, row = links.kind_class, links.row
    groups, vertices, moves = graph.groups, graph.vertices, graph.moves
    layers = near.shape[1] - 1
    furthest, needed = reach[0], reach[1]
    for vertex in range(needed.shape[0]):
        needed[vertex] = layers if vertices[1, vertex] else layers + 1
    for group in range(groups.shape[1] - 2, -1, -1):
        move, last = groups[1, group], groups[1, group + 1]
        while move < last:
            klass = kind_class[moves[0, move]]
            start = layers + 1
            while move < last and kind_class[moves[0, move]] == klass:
                to = moves[1, move]
                if needed[to] <= furthest[to]:
                    start = min(start, near[moves[0, move], needed[to]])
                move += 1
            if start > layers:
                continue
            for vertex in range(groups[0, group], groups[0, group + 1]):
                link = row[vertices[0, vertex], klass]
                needed[vertex] = min(needed[vertex], above[link, start])


@compiled
def furthest_chain(graph: Graph, windows: Windows, chain: IntArray) -> tuple[int, int]:
    """Follow the furthest boundaries back from the end, where every link is free.

    Then the relaxation is exact but for one thing: a node may be left without a layer. Vertices
    are groups here, and each is reached from earlier ones only. A way that gives a node layers is
    taken before one that leaves it idle.

    Parameters
    ----------
    chain
        Shape (2, N), written: kinds and ends of runs, the last node first.

    Returns
    -------
    How many nodes have layers, and how many have none.
    """
    groups, vertices, moves = graph.groups, graph.vertices, graph.moves
    spans, furthest = windows.spans, windows.reach[0]
    vertex, length, idle = 0, 0, 0
    while not (vertices[1, vertex] and furthest[vertex] == spans.shape[2] - 1):
        vertex += 1
    while vertex > 0:
        way, way_kind = -1, -1
        for before in range(vertex - 1, -1, -1):
            if furthest[before] < 0:
                continue
            for move in range(groups[1, before], groups[1, before + 1]):
                kind = moves[0, move]
                if moves[1, move] != vertex or spans[1, kind, furthest[before]] != furthest[vertex]:
                    continue
                if furthest[vertex] > furthest[before] or way < 0:
                    way, way_kind = before, kind
            if way >= 0 and furthest[vertex] > furthest[way]:
                break
        if furthest[vertex] > furthest[way]:
            chain[0, length], chain[1, length] = way_kind, furthest[vertex]
            length += 1
        else:
            idle += 1
        vertex = way
    return length, idle
