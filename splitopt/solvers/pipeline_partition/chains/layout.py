"""The arrays that the loops work on: times, memory and links of kinds of nodes, and the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from splitopt.latency.pipeline_resources import link_seconds, transfer_seconds
from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.pipeline_partition import Links, PipelinePartition
from splitopt.solvers.pipeline_partition.chains.alike import Kinds
from splitopt.solvers.pipeline_partition.chains.graph import (
    Index,
    free_graph,
    given_graph,
)

if TYPE_CHECKING:
    from splitopt.solvers.pipeline_partition.chains.loops import Loops

LINKS, NIC_FULL, NIC_HALF, SERIAL_FULL, SERIAL_HALF = range(5)
"""What a node is busy with: computing, or also its interface, beside it or in turn with it."""


class Chains(NamedTuple):
    """Everything that does not depend on a cap of the period, for the loops.

    S layers, T kinds of nodes, K link classes, R rows of links (row 0 is free: from the owner to
    the first node); G, V, M and the last arrays as in `Graph`.
    """

    time_high: FloatArray
    """(T, S + 1): seconds of the layers before each; with `time_low` in twice the precision."""
    time_low: FloatArray
    layer_s: FloatArray
    """(T, S): seconds of each layer."""
    memory_end: Index
    """(T, S + 1): where the longest run from each layer that fits the memory ends."""
    interface: int
    """`LINKS`, `NIC_FULL`, ..."""
    rate: FloatArray
    """(T,): byte/s of a node's interface."""
    up: FloatArray
    down: FloatArray
    """(S + 1,): bytes over each boundary, forward and backward."""
    kind_class: Index
    """(T,): link class of each kind."""
    row: Index
    """(K + 1, K): row of the link from class to class; the last line is from the owner."""
    busy_s: FloatArray
    trip_s: FloatArray
    """(R, S + 1): what a link is busy for at each boundary, and what it adds to the trip."""
    levels: FloatArray
    """The different busy seconds of links, rising."""
    group_first: Index
    vertex_class: Index
    accept: BoolArray
    move_first: Index
    move_kind: Index
    move_to: Index


def chains_of(problem: PipelinePartition, kinds: Kinds, loops: Loops, with_trips: bool) -> Chains:
    """Lay out a problem.

    Parameters
    ----------
    problem
        What is to be solved.
    kinds
        Its alike nodes.
    loops
        The version of the loops to use.
    with_trips
        Whether trips will be asked for: where nodes share interfaces, the period needs no link
        classes, but the trip does.
    """
    first, links = kinds.first, problem.links
    classes = kinds.link_class
    if links.has_interfaces and not with_trips:
        classes = np.zeros_like(classes)
    if problem.order == "given":
        graph = given_graph(classes, problem.use_all_nodes)
    else:
        graph = free_graph(kinds.count, classes, problem.use_all_nodes)
    forward, backward = problem.forward_s[first], problem.backward_s[first]
    high, low = loops.running_sums(forward, backward)
    row, busy, trip = _link_rows(problem, kinds, classes)
    levels = busy[:, 1:-1]
    rates = links.interface_rates
    return Chains(
        high,
        low,
        forward + backward,
        loops.memory_ends(
            problem.layer_memory_bytes, float(problem.owners), problem.capacity_bytes[first]
        ),
        _interface(links),
        np.ones(len(first)) if rates is None else rates[first],
        problem.cut_up_bytes,
        problem.cut_down_bytes,
        classes.astype(np.int32),
        row,
        busy,
        trip,
        np.unique(levels[np.isfinite(levels)]),
        *graph,
    )


def _interface(links: Links) -> int:
    if not links.has_interfaces:
        return LINKS
    return (NIC_FULL if links.model == "nic" else SERIAL_FULL) + (links.duplex == "half")


def _link_rows(
    problem: PipelinePartition, kinds: Kinds, classes: IntArray
) -> tuple[Index, FloatArray, FloatArray]:
    """Give numbers to the different links between classes, with their seconds at each boundary."""
    links, width = problem.links, int(classes[-1]) + 1
    row = np.zeros((width + 1, width), dtype=np.int32)
    known = {(np.inf, np.inf, 0.0): 0}
    for one, other, pair in _neighbours(problem, kinds, classes):
        rates, delays = links.rates, links.delays_s
        back = (pair[1], pair[0])
        look = (float(rates[pair]), float(rates[back]), float(delays[pair] + delays[back]))
        row[one, other] = known.setdefault(look, len(known))
    ahead, behind, delay = (np.array(column)[:, None] for column in zip(*known, strict=True))
    up = transfer_seconds(problem.cut_up_bytes, ahead)
    down = transfer_seconds(problem.cut_down_bytes, behind)
    trip = up + down + delay
    busy = np.zeros_like(trip) if links.has_interfaces else link_seconds(up, down, links.duplex)
    for table in (busy, trip):
        table[:, [0, -1]] = 0.0
    return row, busy, trip


def _neighbours(
    problem: PipelinePartition, kinds: Kinds, classes: IntArray
) -> list[tuple[int, int, tuple[int, int]]]:
    """List the pairs of classes that can be neighbours, each with two nodes that stand for it."""
    if problem.order == "given":
        nodes = problem.nodes
        reach = (lambda i: (i + 1,)) if problem.use_all_nodes else (lambda i: range(i + 1, nodes))
        return [
            (int(classes[i]), int(classes[j]), (i, j))
            for i in range(nodes)
            for j in reach(i)
            if j < nodes
        ]
    of_node = classes[kinds.member]
    members = [np.flatnonzero(of_node == klass)[:2].tolist() for klass in range(classes[-1] + 1)]
    found = []
    for one, some in enumerate(members):
        for other, others in enumerate(members):
            if one != other:
                found.append((one, other, (some[0], others[0])))
            elif len(some) == 2:
                found.append((one, one, (some[0], some[1])))
    return found
