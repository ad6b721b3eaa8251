"""In which order the nodes of a graph run, and what is wrong where there is none."""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import BoolArray, IntArray


def circle(nodes: int, arcs: IntArray) -> list[int]:
    """Return the nodes of a circle in their order, nothing if there is none.

    Parameters
    ----------
    nodes
        How many nodes there are.
    arcs
        Shape (A, 2): from node, to node.
    """
    indegree = np.bincount(arcs[:, 1], minlength=nodes).tolist()
    following: list[list[int]] = [[] for _ in range(nodes)]
    for a, b in arcs.tolist():
        following[a].append(b)
    waiting = [v for v in range(nodes) if indegree[v] == 0]
    left = nodes
    while waiting:
        left -= 1
        for b in following[waiting.pop()]:
            indegree[b] -= 1
            if indegree[b] == 0:
                waiting.append(b)
    if left == 0:
        return []
    return _walk_back(nodes, arcs, indegree)


def _walk_back(nodes: int, arcs: IntArray, indegree: list[int]) -> list[int]:
    """Follow nodes that wait for each other against the arcs until one comes again."""
    before = [-1] * nodes
    for a, b in arcs.tolist():
        if indegree[a] > 0 and indegree[b] > 0:
            before[b] = a
    place: dict[int, int] = {}
    path: list[int] = []
    node = next(v for v in range(nodes) if indegree[v] > 0)
    while node not in place:
        place[node] = len(path)
        path.append(node)
        node = before[node]
    return path[place[node] :][::-1]


def order_arcs(edges: IntArray, backward: BoolArray, classes: IntArray) -> IntArray:
    """Return the arcs along which devices follow each other, shape (A, 2), each once.

    They are the edges between forward nodes, and the edges between backward nodes against their
    direction where the class of one of them has no forward node: it has its place in the forward
    order by mirror image. All other backward nodes go where their class goes.

    Parameters
    ----------
    edges
        Shape (E, 2).
    backward
        Shape (V,).
    classes
        Shape (V,): the number of the class of nodes that stay together.
    """
    if not len(edges):
        return edges
    with_forward = np.zeros(int(classes.max()) + 1, dtype=np.bool_)
    with_forward[classes[~backward]] = True
    orphan = ~with_forward[classes]
    start, end = edges[:, 0], edges[:, 1]
    forward = ~backward[start] & ~backward[end]
    mirrored = backward[start] & backward[end] & (orphan[start] | orphan[end])
    arcs = np.concatenate((edges[forward], edges[mirrored][:, ::-1]))
    return np.asarray(np.unique(arcs, axis=0), dtype=np.int64)


def in_circles(arcs: IntArray) -> int:
    """Count the vertices that lie on circles, or between two of them, in a small graph.

    Parameters
    ----------
    arcs
        Shape (A, 2): from vertex, to another vertex.
    """
    left = set(map(tuple, arcs.tolist()))
    while left:
        starts, ends = {a for a, _ in left}, {b for _, b in left}
        inner = {(a, b) for a, b in left if a in ends and b in starts}
        if len(inner) == len(left):
            return len(starts)
        left = inner
    return 0
