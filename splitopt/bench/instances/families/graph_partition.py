"""Generated families of `GraphPartition` and the suites that are made of them.

Graphs have one input and one output. A CPU takes some ten times as long for a layer as an
accelerator does, as in the workloads of dnn-partitioning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np

from splitopt.bench.instances.benchmark import Benchmark, Recipe, by_name
from splitopt.bench.instances.rounding import rounded
from splitopt.problems.base import IntArray
from splitopt.problems.graph_partition import GraphPartition

Edges = list[tuple[int, int]]
_SKIPS = 3
"""Layers that a skip connection passes over at most."""


def branches(seed: int, nodes: int, accelerators: int, cpus: int = 1) -> GraphPartition:
    """Draw modules of two to four parallel branches, one behind the other."""
    rng = np.random.default_rng(seed)
    edges: Edges = []
    ends, node = [0], 1
    while node < nodes - 1:
        parts = []
        for _ in range(int(rng.integers(2, 5))):
            last = ends
            for _ in range(int(rng.integers(1, 5))):
                if node < nodes - 1:
                    edges.extend((end, node) for end in last)
                    last, node = [node], node + 1
            parts += [end for end in last if end not in parts and end not in ends]
        edges.extend((end, node) for end in parts or ends)
        ends, node = [node], node + 1
    edges.extend((end, node) for end in ends if node < nodes)
    return _instance(rng, edges, nodes, accelerators, cpus)


def residual(seed: int, nodes: int, accelerators: int, cpus: int = 1) -> GraphPartition:
    """Draw a chain of layers, many of which also feed a layer further on."""
    rng = np.random.default_rng(seed)
    edges = [(v, v + 1) for v in range(nodes - 1)]
    skipping = np.flatnonzero(rng.random(max(0, nodes - 2)) < 0.4)
    over = skipping + 2 + rng.integers(0, _SKIPS, skipping.size)
    edges += zip(skipping.tolist(), np.minimum(nodes - 1, over).tolist(), strict=True)
    return _instance(rng, edges, nodes, accelerators, cpus)


def layered(seed: int, nodes: int, accelerators: int, cpus: int = 1) -> GraphPartition:
    """Draw edges between near nodes at random; a node without an input follows an earlier one."""
    rng = np.random.default_rng(seed)
    edges: Edges = []
    for v in range(1, nodes):
        near = range(max(0, v - 6), v)
        found = [(u, v) for u in near if rng.random() < 0.3]
        edges += found or [(int(rng.choice(list(near))), v)]
    return _instance(rng, edges, nodes, accelerators, cpus)


def towers(seed: int, nodes: int, accelerators: int, cpus: int = 1) -> GraphPartition:
    """Draw three long towers side by side: very many ideals."""
    rng = np.random.default_rng(seed)
    inner = np.array_split(np.arange(1, nodes - 1), 3)
    edges: Edges = []
    for tower in inner:
        path = [0, *tower.tolist(), nodes - 1]
        edges += pairwise(path)
    return _instance(rng, edges, nodes, accelerators, cpus)


def training(seed: int, nodes: int, accelerators: int, cpus: int = 1) -> GraphPartition:
    """Draw modules of branches, each layer with a backward node that stays with it."""
    problem = branches(seed, nodes, accelerators, cpus)
    rng = np.random.default_rng([seed, 1])
    return _with_backward(rng, problem, 0.0)


def orphans(seed: int, nodes: int, accelerators: int, cpus: int = 1) -> GraphPartition:
    """Draw a training graph, a fifth of whose backward nodes have no forward node."""
    rng = np.random.default_rng([seed, 2])
    return _with_backward(rng, residual(seed, nodes, accelerators, cpus), 0.2)


def whole(seed: int, nodes: int, accelerators: int, cpus: int = 1) -> GraphPartition:
    """Draw small whole times, zero among them: ties, and layers without work."""
    rng = np.random.default_rng([seed, 3])
    problem = layered(seed, nodes, accelerators, cpus)
    times = rng.integers(0, 5, (3, nodes)).astype(np.float64)
    return replace(problem, accelerator_s=times[0], output_s=times[1], cpu_s=4 * times[2])


def memory(seed: int, nodes: int, accelerators: int, cpus: int = 0) -> GraphPartition:
    """Draw modules of branches whose memory fills the accelerators to six sevenths."""
    problem = branches(seed, nodes, accelerators, cpus)
    rng = np.random.default_rng([seed, 4])
    sizes = rounded(rng.uniform(0.5, 1.5, nodes))
    room = max(7 / 6 * float(sizes.sum()) / accelerators, 2 * float(sizes.max()))
    limit = float(rounded(room))
    return replace(problem, memory_bytes=sizes, accelerator_memory_bytes=limit)


def together(seed: int, nodes: int, accelerators: int, cpus: int = 1) -> GraphPartition:
    """Draw a graph in which pairs of layers share a weight and stay together, some on circles."""
    problem = layered(seed, nodes, accelerators, cpus)
    rng = np.random.default_rng([seed, 5])
    colours = np.full(nodes, -1)
    for k in range(max(1, nodes // 8)):
        first = int(rng.integers(0, nodes))
        colours[[first, min(nodes - 1, first + int(rng.integers(1, 6)))]] = k
    return replace(problem, colour_classes=colours)


def host_only(seed: int, nodes: int, accelerators: int, cpus: int = 1) -> GraphPartition:
    """Draw a graph with a few small layers that no accelerator can run."""
    problem = residual(seed, nodes, accelerators, cpus)
    rng = np.random.default_rng([seed, 6])
    only = np.zeros(nodes, dtype=np.bool_)
    first = int(rng.integers(0, nodes))
    only[first : first + max(1, nodes // 20)] = True
    host = np.where(only, problem.cpu_s / 20, problem.cpu_s)
    return replace(problem, cpu_only=only, cpu_s=rounded(host))


def accelerators_only(seed: int, nodes: int, accelerators: int) -> GraphPartition:
    """Draw modules of branches for accelerators without a CPU."""
    return branches(seed, nodes, accelerators, 0)


def infeasible(seed: int, nodes: int, accelerators: int) -> GraphPartition:
    """Draw a graph that does not fit the memory of the accelerators, without a CPU."""
    sizes = np.ones(nodes)
    problem = branches(seed, nodes, accelerators, 0)
    limit = 0.9 * nodes / accelerators
    return replace(problem, memory_bytes=sizes, accelerator_memory_bytes=limit)


def rounds(seed: int, nodes: int, accelerators: int, cpus: int = 1) -> GraphPartition:
    """Draw rounds of a few micro-batches, and a long layer that makes many devices no use."""
    problem = branches(seed, nodes, accelerators, cpus)
    rng = np.random.default_rng([seed, 7])
    work = problem.accelerator_s.copy()
    work[int(rng.integers(0, nodes))] = float(rounded(work.sum() * rng.uniform(0.2, 0.6)))
    sizes = rounded(rng.uniform(0.5, 1.5, nodes))
    return replace(
        problem,
        accelerator_s=work,
        memory_bytes=sizes,
        accelerator_memory_bytes=float(rounded(max(0.7 * sizes.sum(), 2 * sizes.max()))),
        micro_batches=int(rng.integers(2, 9)),
    )


def rounds_infeasible(seed: int, nodes: int, accelerators: int) -> GraphPartition:
    """Draw the same graphs as `infeasible`, with micro-batches of a round."""
    return replace(infeasible(seed, nodes, accelerators), micro_batches=4)


def _instance(
    rng: np.random.Generator, edges: Edges, nodes: int, accelerators: int, cpus: int
) -> GraphPartition:
    """Return a graph with lognormal times; an output takes a tenth of a layer's time on average."""
    work = rounded(np.exp(rng.normal(0.0, 0.7, nodes)))
    host = rounded(work * rng.uniform(8.0, 14.0, nodes))
    outputs = rounded(0.1 * np.exp(rng.normal(0.0, 0.7, nodes)))
    return GraphPartition(
        accelerator_s=work,
        output_s=outputs,
        edges=_array(sorted({(a, b) for a, b in edges if a < b < nodes})),
        accelerators=accelerators,
        cpus=cpus,
        cpu_s=host if cpus else np.zeros(nodes),
    )


def _array(edges: Edges) -> IntArray:
    """Shape (E, 2), E >= 0."""
    return np.array(edges, dtype=np.int64).reshape(-1, 2)


def _with_backward(
    rng: np.random.Generator, problem: GraphPartition, orphaned: float
) -> GraphPartition:
    """Return a graph with a backward node behind each node, twice as long, and mirrored edges.

    Parameters
    ----------
    orphaned
        The share of backward nodes that need not stay with their forward node.
    """
    nodes = problem.nodes
    edges: Edges = [(int(a), int(b)) for a, b in problem.edges]
    both = [*edges, *((nodes + b, nodes + a) for a, b in edges), (nodes - 1, 2 * nodes - 1)]
    own = np.arange(nodes)
    colours = np.where(rng.random(nodes) < orphaned, -1, own)
    return replace(
        problem,
        accelerator_s=np.concatenate((problem.accelerator_s, 2 * problem.accelerator_s)),
        output_s=np.concatenate((problem.output_s, problem.output_s)),
        cpu_s=np.concatenate((problem.cpu_s, 2 * problem.cpu_s)),
        memory_bytes=np.zeros(2 * nodes),
        edges=_array(both),
        backward=np.arange(2 * nodes) >= nodes,
        colour_classes=np.concatenate((own, colours)),
        cpu_only=np.zeros(2 * nodes, dtype=np.bool_),
    )


LOADS = (
    "branches",
    "residual",
    "layered",
    "towers",
    "training",
    "orphans",
    "whole",
    "memory",
    "together",
    "host_only",
    "accelerators_only",
    "infeasible",
)
"""Families that say nothing of a round."""


def _size(problem: GraphPartition) -> Mapping[str, int]:
    return {"nodes": problem.nodes, "devices": problem.devices}


def _of(family: str, nodes: int, accelerators: int, seed: int = 0, **others: int) -> Recipe:
    return Recipe(family, {"nodes": nodes, "accelerators": accelerators, **others}, seed)


BENCHMARK = Benchmark(
    problem="graph_partition",
    families=by_name(
        branches,
        residual,
        layered,
        towers,
        training,
        orphans,
        whole,
        memory,
        together,
        host_only,
        accelerators_only,
        rounds,
        infeasible,
        rounds_infeasible,
    ),
    size=_size,
    quick=(_of("branches", 20, 4), _of("training", 14, 3), _of("memory", 16, 3)),
    scaling=tuple(
        _of(family, nodes, 6)
        for nodes in (25, 50, 100, 200)
        for family in ("branches", "residual", "towers", "accelerators_only")
    ),
    tiny=_of("rounds", 4, 2),
    conformance=(
        _of("branches", 6, 3),
        _of("residual", 7, 2),
        _of("layered", 6, 3),
        _of("towers", 7, 2),
        _of("training", 6, 3),
        _of("orphans", 4, 2),
        _of("whole", 6, 2),
        _of("memory", 7, 3),
        _of("memory", 7, 2, cpus=1),
        _of("together", 7, 3),
        _of("host_only", 7, 2),
        _of("layered", 6, 2, cpus=2),
        _of("accelerators_only", 8, 3),
        _of("rounds", 5, 2),
    ),
    infeasible=_of("rounds_infeasible", 8, 3),
    reference="enumerate",
    provers=("ideals", "enumerate"),
    family_objectives=dict.fromkeys(LOADS, ("load",)),
)
