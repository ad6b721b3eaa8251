"""Generated families of `PipelinePartition` and the suites that are made of them.

Where memory is not the point, every node could host one and a half times its even share, as far as
that is more than its largest layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from splitopt.bench.instances.benchmark import Benchmark, Recipe, by_name
from splitopt.bench.instances.rounding import rounded
from splitopt.latency.pipeline import OwnerParts
from splitopt.problems.base import FloatArray
from splitopt.problems.pipeline_partition import OwnerGroups, PipelinePartition

NODES = 5
OWNERS = 10
_BATCHES = 320
_SPEEDS = (1.0, 0.5, 0.25)
UNLINKED = (
    "uniform",
    "types",
    "speeds",
    "unrelated",
    "decades",
    "whole",
    "memory",
    "idle",
    "given",
    "infeasible",
)
LINKED = ("links_uniform", "links_pairwise", "links_nic", "links_serial")


def uniform(seed: int, layers: int, nodes: int = NODES) -> PipelinePartition:
    """Identical nodes; forward and backward seconds of layers uniform and independent."""
    rng = np.random.default_rng(seed)
    return _instance(rng, *_layers(rng, layers), np.ones(nodes))


def types(seed: int, layers: int, nodes: int = NODES) -> PipelinePartition:
    """Three types of nodes in turn, each twice as fast as the next."""
    rng = np.random.default_rng(seed)
    return _instance(rng, *_layers(rng, layers), np.resize(_SPEEDS, nodes))


def speeds(seed: int, layers: int, nodes: int = NODES) -> PipelinePartition:
    """Nodes whose speeds all differ, by a factor of ten at most."""
    rng = np.random.default_rng(seed)
    return _instance(rng, *_layers(rng, layers), _distinct(rng, nodes))


def unrelated(seed: int, layers: int, nodes: int = NODES) -> PipelinePartition:
    """Every layer takes its own time on every node."""
    rng = np.random.default_rng(seed)
    forward, backward = (rng.uniform(0.5, 2.0, (nodes, layers)) for _ in range(2))
    return _instance(rng, forward, 2 * backward, np.ones(nodes))


def decades(seed: int, layers: int, nodes: int = NODES) -> PipelinePartition:
    """Every layer takes its own time on every node, log-uniform over six decades."""
    rng = np.random.default_rng(seed)
    forward, backward = 10.0 ** rng.uniform(-3, 3, (2, nodes, layers))
    return _instance(rng, forward, backward, np.ones(nodes))


def whole(seed: int, layers: int, nodes: int = NODES) -> PipelinePartition:
    """Small whole numbers, zero among them: many partitions have the same value."""
    rng = np.random.default_rng(seed)
    forward, backward = rng.integers(0, 6, (2, nodes, layers)).astype(float)
    return _instance(rng, forward, backward, np.ones(nodes))


def memory(seed: int, layers: int, nodes: int = NODES) -> PipelinePartition:
    """Nodes with different speeds and so little memory that it decides who hosts what."""
    rng = np.random.default_rng(seed)
    forward, backward = _layers(rng, layers)
    return _instance(rng, forward, backward, _distinct(rng, nodes), spare=1.15, uneven=True)


def idle(seed: int, layers: int, nodes: int = NODES) -> PipelinePartition:
    """Nodes whose speeds differ, and that need not all be used."""
    rng = np.random.default_rng(seed)
    forward, backward = _layers(rng, layers)
    return _instance(rng, forward, backward, _distinct(rng, nodes), spare=4.0, use_all_nodes=False)


def given(seed: int, layers: int, nodes: int = NODES) -> PipelinePartition:
    """Nodes whose speeds differ, in a given order."""
    rng = np.random.default_rng(seed)
    return _instance(rng, *_layers(rng, layers), _distinct(rng, nodes), order="given")


def links_uniform(seed: int, layers: int, nodes: int = NODES) -> PipelinePartition:
    """Three types of nodes with half duplex links of one bandwidth, and latency."""
    rng = np.random.default_rng(seed)
    links = {
        "model": "uniform",
        "bandwidth_bytes_per_s": 1.0,
        "latency_s": 0.125,
        "duplex": "half",
        "owner_bandwidth_bytes_per_s": 0.5,
    }
    return _linked(rng, layers, np.resize(_SPEEDS, nodes), links)


def links_pairwise(seed: int, layers: int, nodes: int = NODES) -> PipelinePartition:
    """Nodes whose speeds differ with a bandwidth for every ordered pair."""
    rng = np.random.default_rng(seed)
    band = 10.0 ** rng.uniform(-0.5, 1.0, (nodes, nodes))
    links = {"model": "pairwise", "bandwidth_bytes_per_s": rounded(band)}
    return _linked(rng, layers, _distinct(rng, nodes), links)


def links_nic(seed: int, layers: int, nodes: int = NODES) -> PipelinePartition:
    """Nodes whose speeds differ, each with one full duplex interface of its own rate."""
    rng = np.random.default_rng(seed)
    band = rounded(rng.uniform(1.0, 4.0, nodes))
    links = {"model": "nic", "bandwidth_bytes_per_s": band, "latency_s": 0.125}
    return _linked(rng, layers, _distinct(rng, nodes), links)


def links_serial(seed: int, layers: int, nodes: int = NODES) -> PipelinePartition:
    """Three types of nodes that cannot compute while their interface works."""
    rng = np.random.default_rng(seed)
    links = {"model": "serial", "bandwidth_bytes_per_s": np.full(nodes, 2.0), "duplex": "half"}
    return _linked(rng, layers, np.resize(_SPEEDS, nodes), links)


def owners_none(seed: int, layers: int, nodes: int = NODES) -> PipelinePartition:
    """Three types of nodes and two groups of owners whose own trips and models count."""
    return _with_owners(types(seed, layers, nodes), seed)


def owners_nic(seed: int, layers: int, nodes: int = NODES) -> PipelinePartition:
    """Nodes with interfaces of their own rates, which may be slower than the owners' links."""
    return _with_owners(links_nic(seed, layers, nodes), seed, shared=True)


def infeasible(seed: int, layers: int, nodes: int = NODES) -> PipelinePartition:
    """Like `types`, with half of the memory that is needed."""
    rng = np.random.default_rng(seed)
    return _instance(rng, *_layers(rng, layers), np.resize(_SPEEDS, nodes), spare=0.5)


def owners_infeasible(seed: int, layers: int, nodes: int = NODES) -> PipelinePartition:
    """Like `owners_none`, with half of the memory that is needed."""
    return _with_owners(infeasible(seed, layers, nodes), seed)


def _with_owners(problem: PipelinePartition, seed: int, shared: bool = False) -> PipelinePartition:
    """Add two groups of owners that could about fill the pipeline, the second half as fast."""
    rng = np.random.default_rng([seed, 1])
    scale = 10.0 ** rng.uniform(-1.0, 1.0) * (problem.forward_s + problem.backward_s).mean()
    count = np.array([OWNERS - OWNERS // 3, OWNERS // 3])
    parts = {
        field: rounded(scale * rng.uniform(0.2, 1.0) * np.array([1.0, 2.0]))
        for field in (*OwnerParts._fields[:-1], "upload_s", "download_s")
    }
    groups = {"count": count, "batches": np.full(2, _BATCHES // OWNERS), "shared": shared}
    return replace(problem, owner_groups=OwnerGroups.read(groups | parts), use_all_nodes=False)


def _layers(rng: np.random.Generator, layers: int) -> tuple[FloatArray, FloatArray]:
    """Seconds at speed 1, shape (1, S); the backward pass takes about twice the forward one."""
    forward = rng.uniform(0.5, 2.0, (1, layers))
    return forward, forward * rng.uniform(1.4, 2.6, (1, layers))


def _distinct(rng: np.random.Generator, nodes: int) -> FloatArray:
    return np.asarray(np.exp(rng.uniform(np.log(0.1), 0.0, nodes)))


def _linked(
    rng: np.random.Generator, layers: int, speed: FloatArray, links: Mapping[str, Any]
) -> PipelinePartition:
    """Activations shrink along the model, in steps; gradients are as large."""
    forward, backward = _layers(rng, layers)
    volume = rounded(20.0 * 0.5 ** np.sort(rng.uniform(0.0, 5.0, layers + 1)))
    cuts: dict[str, Any] = {"cut_up_bytes": volume, "cut_down_bytes": volume}
    return _instance(rng, forward, backward, speed, links=links, **cuts)


def _instance(
    rng: np.random.Generator,
    forward: FloatArray,
    backward: FloatArray,
    speed: FloatArray,
    spare: float = 1.5,
    uneven: bool = False,
    **optional: Any,
) -> PipelinePartition:
    """Build an instance; `spare` is the memory of all nodes over what all layers need."""
    nodes, layers = len(speed), forward.shape[1]
    size = rounded(rng.uniform(1.0, 2.0, (layers,)))
    share = rng.uniform(0.5, 1.5, nodes) if uneven else np.ones(nodes)
    space: FloatArray = spare * size.sum() * share / share.sum()
    if spare >= 1:  # a node holds its largest layers however few there are
        space = np.maximum(space, 2 * np.sort(size)[-min(layers, 2) :].sum())
    return PipelinePartition(
        forward_s=rounded(forward / speed[:, None]),
        backward_s=rounded(backward / speed[:, None]),
        layer_memory_bytes=size,
        node_memory_bytes=rounded(OWNERS * space),
        owners=OWNERS,
        batches=_BATCHES,
        **optional,
    )


def _size(problem: PipelinePartition) -> Mapping[str, int]:
    return {"layers": problem.layers, "nodes": problem.nodes}


def _of(family: str, layers: int, nodes: int, seed: int = 0) -> Recipe:
    return Recipe(family, {"layers": layers, "nodes": nodes}, seed)


BENCHMARK = Benchmark(
    problem="pipeline_partition",
    families=by_name(
        uniform,
        types,
        speeds,
        unrelated,
        decades,
        whole,
        memory,
        idle,
        given,
        links_uniform,
        links_pairwise,
        links_nic,
        links_serial,
        owners_none,
        owners_nic,
        infeasible,
        owners_infeasible,
    ),
    size=_size,
    quick=(_of("types", 12, 3), _of("unrelated", 37, 5), _of("links_nic", 12, 4)),
    scaling=tuple(
        Recipe(family, {"layers": layers, "nodes": nodes})
        for nodes in (5, 10)
        for layers in (25, 37, 100, 300, 1000)
        for family in ("types", "speeds", "unrelated")
    ),
    tiny=_of("owners_none", 4, 2),
    conformance=(
        _of("uniform", 1, 1),
        _of("uniform", 6, 3),
        _of("types", 8, 4),
        _of("speeds", 7, 3),
        _of("unrelated", 7, 3),
        _of("decades", 6, 3),
        _of("whole", 7, 3),
        _of("idle", 6, 4),
        _of("given", 8, 4),
        _of("links_uniform", 6, 3),
        _of("links_pairwise", 6, 3),
        _of("links_nic", 6, 3),
        _of("links_serial", 6, 3),
        _of("owners_none", 6, 3),
        _of("owners_nic", 6, 3),
    ),
    infeasible=_of("owners_infeasible", 6, 3),
    reference="enumerate",
    provers=("subset_dp", "enumerate"),
    family_objectives={
        **dict.fromkeys(UNLINKED, ("period", "paper", "epoch")),
        **dict.fromkeys(LINKED, ("period", "epoch")),
        "owners_nic": ("round", "period", "epoch"),
    },
)
