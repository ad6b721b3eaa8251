"""Who hears whom: the graph of the Laplacian in DP-MORA Eq. 26."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from splitopt.documents.checks import is_whole
from splitopt.errors import InputError
from splitopt.problems.base import IntArray

KINDS = ("complete", "ring", "star", "erdos_renyi")
MAX_PAIRS = 2_000_000
"""Graphs of more pairs than this are refused: their prices alone would fill the memory."""


@dataclass(frozen=True)
class Graph:
    """An undirected connected graph over the devices, and over the server in the star.

    Parameters
    ----------
    devices
        N; the nodes 0 to N - 1 are the devices.
    nodes
        N, or N + 1 when the server (node N) takes part: in the star every device hears only it.
    starts, neighbours
        The neighbours of node n, in rising order, are ``neighbours[starts[n] : starts[n + 1]]``.
    """

    devices: int
    nodes: int
    starts: IntArray
    neighbours: IntArray

    @property
    def relayed(self) -> int:
        """Messages that the server sends to the devices when all hear their neighbours once."""
        return int(self.starts[self.devices])

    def of(self, node: int) -> IntArray:
        """Return the neighbours of a node."""
        return self.neighbours[self.starts[node] : self.starts[node + 1]]


def check_graph(graph: Any) -> str | tuple[tuple[int, int], ...]:
    """Read the option: one of `KINDS`, or a list of pairs of devices."""
    if isinstance(graph, str):
        if graph not in KINDS:
            raise InputError.at(
                "graph", f"is {graph!r}; choose {', '.join(KINDS)} or give a list of pairs"
            )
        return graph
    if not isinstance(graph, Sequence):
        raise InputError.at("graph", f"is {graph!r}; choose {', '.join(KINDS)} or a list of pairs")
    return tuple(_pair(edge, index) for index, edge in enumerate(graph))


def build_graph(
    graph: str | tuple[tuple[int, int], ...], devices: int, probability: float, seed: int
) -> Graph:
    """Build the graph for N devices.

    Parameters
    ----------
    graph
        What `check_graph` gave.
    probability, seed
        Of ``"erdos_renyi"``: each pair of devices is joined with this probability.

    Raises
    ------
    InputError
        A pair names a device that does not exist, or the graph is not connected.
    """
    if graph == "star":
        server = np.full(devices, devices)
        return _graph(devices, devices + 1, np.arange(devices), server)
    if graph == "complete":
        left, right = np.triu_indices(devices, 1)
    elif graph == "ring":
        left, right = np.arange(devices), (np.arange(devices) + 1) % devices
    elif graph == "erdos_renyi":
        left, right = np.triu_indices(devices, 1)
        kept = np.random.default_rng(seed).random(len(left)) < probability
        left, right = left[kept], right[kept]
    else:
        pairs = np.array(graph, dtype=np.int64).reshape(-1, 2)
        if pairs.size and (top := int(pairs.max())) >= devices:
            raise InputError.at("graph", f"names device {top}; devices are 0 to {devices - 1}")
        left, right = pairs.T
    found = _graph(devices, devices, left, right)
    if (cut_off := np.flatnonzero(~_reached(found))).size:
        raise InputError.at(
            "graph",
            f"is not connected: device {cut_off[0]} cannot be reached from device 0, so no "
            "consensus is possible; add edges, raise edge_probability, or take another graph",
        )
    return found


def pairs_visited(graph: str | tuple[tuple[int, int], ...], devices: int) -> int:
    """Count the pairs that building the graph would look at, without building it."""
    if graph in ("complete", "erdos_renyi"):
        return devices * (devices - 1) // 2
    return devices if isinstance(graph, str) else len(graph)


def _graph(devices: int, nodes: int, left: IntArray, right: IntArray) -> Graph:
    apart = left != right
    ends = np.concatenate((left[apart] * nodes + right[apart], right[apart] * nodes + left[apart]))
    ends = np.unique(ends)
    starts = np.searchsorted(ends, np.arange(nodes + 1) * nodes)
    return Graph(devices, nodes, starts.astype(np.int64), ends % nodes)


def _reached(graph: Graph) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Mark the nodes that can be reached from node 0."""
    seen = np.zeros(graph.nodes, dtype=np.bool_)
    seen[0] = True
    front = [0]
    while front:
        fresh = [m for n in front for m in graph.of(n).tolist() if not seen[m]]
        seen[fresh] = True
        front = sorted(set(fresh))
    return seen


def _pair(edge: Any, index: int) -> tuple[int, int]:
    fits = isinstance(edge, Sequence) and len(edge) == 2 and all(is_whole(end, 0) for end in edge)
    if not fits:
        raise InputError.at(f"graph[{index}]", f"is {edge!r}, it must be a pair of devices")
    return int(edge[0]), int(edge[1])
