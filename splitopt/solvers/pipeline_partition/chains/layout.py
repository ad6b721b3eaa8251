"""Laying a problem out as arrays: times, memory and links of kinds of nodes, and the graph."""

from __future__ import annotations

import numpy as np

from splitopt.latency.pipeline_resources import link_seconds, transfer_seconds
from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.pipeline_partition import Links, PipelinePartition
from splitopt.solvers.pipeline_partition.chains.alike import Kinds
from splitopt.solvers.pipeline_partition.chains.graph import free_graph, given_graph
from splitopt.solvers.pipeline_partition.chains.loops import Loops
from splitopt.solvers.pipeline_partition.chains.state import (
    LINKS,
    NIC_FULL,
    SERIAL_FULL,
    Chains,
    Index,
)


def chains_of(
    problem: PipelinePartition,
    kinds: Kinds,
    loops: Loops,
    with_trips: bool,
    slowest_s: float = np.inf,
) -> Chains:
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
    slowest_s
        A layer that is slower than that on a kind of node is never put there.
    """
    first, links = kinds.first, problem.links
    classes = kinds.link_class
    if links.has_interfaces and not with_trips:
        classes = np.zeros_like(classes)
    if problem.order == "given":
        graph = given_graph(classes, problem.use_all_nodes)
    else:
        graph = free_graph(kinds.count, classes, problem.use_all_nodes)
    times = np.stack((problem.forward_s[first], problem.backward_s[first]))
    layer_s = times.sum(axis=0)
    allowed = layer_s <= slowest_s
    times = np.where(allowed, times, 0.0)
    tables = [loops.running_sums(times)]
    if problem.objective == "paper":
        tables += [loops.running_sums(times[:1]), loops.running_sums(times[1:])]
    row, link_s = _link_rows(problem, kinds, classes)
    levels = link_s[0, :, 1:-1]
    rates = links.interface_rates
    return Chains(
        np.stack(tables),
        np.where(allowed, layer_s, np.inf),
        np.minimum(_memory_ends(problem, first, loops), _next_barred(allowed)),
        _interface(links),
        np.array(np.ones(len(first)) if rates is None else rates[first], dtype=np.float64),
        np.array((problem.cut_up_bytes, problem.cut_down_bytes), dtype=np.float64),
        classes.astype(np.int32),
        row,
        link_s,
        np.unique(levels[np.isfinite(levels)]),
        graph,
    )


def _next_barred(allowed: BoolArray) -> Index:
    """Find the first layer at or after each that is not allowed, (T, S + 1); S if there is none."""
    kinds, layers = allowed.shape
    places = np.full((kinds, layers + 1), layers, dtype=np.int32)
    places[:, :-1] = np.where(allowed, layers, np.arange(layers))
    return np.ascontiguousarray(np.minimum.accumulate(places[:, ::-1], axis=1)[:, ::-1])


def _memory_ends(problem: PipelinePartition, first: IntArray, loops: Loops) -> Index:
    """Find where the longest run from each layer ends that fits each kind's memory, (T, S + 1).

    That is what `longest_runs` finds for a table, here of one kind at a time, as memories differ.
    """
    layers = problem.layers
    need = (problem.owners * problem.layer_memory_bytes).reshape(1, 1, layers)
    sums = loops.running_sums(need)[None]
    anywhere = np.full((1, layers + 1), layers, dtype=np.int32)
    found = np.empty((len(first), layers + 1), dtype=np.int32)
    known: dict[float, Index] = {}
    for kind, room in enumerate(problem.capacity_bytes[first].tolist()):
        if room not in known:
            known[room] = np.empty((1, layers + 1), dtype=np.int32)
            loops.longest_runs(sums, anywhere, np.array([room]), known[room])
        found[kind] = known[room][0]
    return found


def _interface(links: Links) -> int:
    if not links.has_interfaces:
        return LINKS
    return (NIC_FULL if links.model == "nic" else SERIAL_FULL) + (links.duplex == "half")


def _link_rows(
    problem: PipelinePartition, kinds: Kinds, classes: IntArray
) -> tuple[Index, FloatArray]:
    """Enumerate the different links between classes, with their seconds at each boundary."""
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
    link_s = np.stack((busy, trip))
    link_s[:, :, [0, -1]] = 0.0  # at both ends is the owner, whom `problem` counts apart
    return row, link_s


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
