"""Generated families of `ReplicatedPipeline` and the suites that are made of them.

Layers take lognormal times, backward twice as long as forward; weights grow and activations shrink
along the model, as in convolutional networks. Devices are of up to three types, each faster than
the one before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from splitopt.bench.instances.benchmark import Benchmark, Recipe, by_name
from splitopt.bench.instances.rounding import rounded
from splitopt.problems.base import IntArray
from splitopt.problems.replicated_pipeline import ReplicatedPipeline

_SPEEDS = np.array([1.0, 1.5, 2.5])
_MICRO_BATCHES = 8


def alike(seed: int, layers: int, devices: int) -> ReplicatedPipeline:
    """Draw alike devices with memory for everything, over links that count."""
    return _instance(seed, layers, np.array([devices]))


def types(seed: int, layers: int, devices: int) -> ReplicatedPipeline:
    """Draw devices of three types, or of as many as there are devices."""
    return _instance(seed, layers, _three(devices))


def plain(seed: int, layers: int, devices: int) -> ReplicatedPipeline:
    """Draw three types of devices with memory that is short, and no replicas."""
    return replace(_short(seed, layers, devices, 0.9), max_replicas=1)


def memory(seed: int, layers: int, devices: int) -> ReplicatedPipeline:
    """Draw memory that asks for recompute in some stages, with sharded states."""
    return replace(_short(seed, layers, devices, 0.9), shard_optimizer=True)


def gpipe(seed: int, layers: int, devices: int) -> ReplicatedPipeline:
    """Draw memory that holds all micro-batches of a step only with recompute."""
    return replace(_short(seed, layers, devices, 0.9), schedule="gpipe")


def pipedream(seed: int, layers: int, devices: int) -> ReplicatedPipeline:
    """Draw training without a flush, transfers beside computing, and a reserve of memory."""
    problem = _short(seed, layers, devices, 1.5)
    assert problem.memory_bytes is not None  # it is short
    reserve = rounded(problem.memory_bytes / 16)
    return replace(
        problem, schedule="pipedream", duplex="half", overlap=True, reserve_bytes=reserve
    )


def whole(seed: int, layers: int, devices: int) -> ReplicatedPipeline:
    """Draw small whole numbers, zero among them, and no idle devices: ties."""
    rng = np.random.default_rng([seed, 3])
    counts = _three(devices)
    kinds = len(counts)
    drawn: dict[str, Any] = {
        name: rng.integers(0, 5, (kinds, layers)).astype(np.float64)
        for name in ("forward_s", "backward_s")
    }
    drawn |= {
        name: rng.integers(0, 4, layers).astype(np.float64)
        for name in ("weight_bytes", "activation_bytes", "optimizer_bytes")
    }
    return ReplicatedPipeline(
        **drawn,
        devices=counts,
        micro_batches=4,
        cut_up_bytes=rng.integers(0, 3, layers + 1).astype(np.float64),
        bandwidth_bytes_per_s=np.ones(kinds),
        recompute="choose",
        use_all_devices=True,
    )


def infeasible(seed: int, layers: int, devices: int) -> ReplicatedPipeline:
    """Draw devices that do not hold the weights and their gradients together."""
    problem = types(seed, layers, devices)
    held = float(problem.weight_bytes.sum())
    return replace(problem, memory_bytes=np.full(problem.types, 1.5 * held / devices))


def _three(devices: int) -> IntArray:
    """Return how many devices there are of each type, as many of one as of another."""
    parts = np.array_split(np.arange(devices), min(3, devices))
    return np.array([len(part) for part in parts])


def _short(seed: int, layers: int, devices: int, part: float) -> ReplicatedPipeline:
    """Return an instance with a part of the memory that all activations in flight take."""
    problem = types(seed, layers, devices)
    held = problem.weight_bytes.sum() * 2 + problem.optimizer_bytes.sum()
    held += min(devices, _MICRO_BATCHES) * problem.activation_bytes.sum() / 2
    largest = 2 * problem.weight_bytes + problem.optimizer_bytes + problem.activation_bytes
    room = max(part * float(held) / devices, 1.5 * float(largest.max()))
    size = rounded(room * np.array([1.0, 1.25, 1.5])[: problem.types])
    return replace(problem, memory_bytes=size, recompute="choose")


def _instance(seed: int, layers: int, devices: IntArray) -> ReplicatedPipeline:
    """Return an instance of devices by type, whose memory has no limit."""
    rng = np.random.default_rng(seed)
    kinds, along = len(devices), np.linspace(0.0, 1.0, layers)
    work = np.exp(rng.normal(0.0, 0.6, layers))
    forward = rounded(work / _SPEEDS[:kinds, None])
    weights = rounded(np.exp(rng.normal(0.0, 0.5, layers) + 2 * along))
    crossing = rounded(np.exp(rng.normal(0.0, 0.5, layers + 1) - 2 * np.linspace(0, 1, layers + 1)))
    others: dict[str, Any] = {
        "cut_up_bytes": crossing,
        "cut_down_bytes": np.concatenate((np.zeros(1), crossing[1:-1], np.zeros(1))),
    }
    others["cut_up_bytes"] = np.append(crossing[:-1], 0.0)
    return ReplicatedPipeline(
        forward,
        2 * forward,
        devices,
        _MICRO_BATCHES,
        weight_bytes=weights,
        activation_bytes=rounded(crossing[:-1] * rng.uniform(2.0, 4.0, layers)),
        optimizer_bytes=2 * weights,
        bandwidth_bytes_per_s=np.full(kinds, 8.0),
        **others,
    )


def _size(problem: ReplicatedPipeline) -> Mapping[str, int]:
    return {"layers": problem.layers, "devices": problem.device_count}


def _of(family: str, layers: int, devices: int, seed: int = 0) -> Recipe:
    return Recipe(family, {"layers": layers, "devices": devices}, seed)


BENCHMARK = Benchmark(
    problem="replicated_pipeline",
    families=by_name(alike, types, plain, memory, gpipe, pipedream, whole, infeasible),
    size=_size,
    quick=(_of("types", 30, 6), _of("plain", 30, 6), _of("memory", 30, 6)),
    scaling=tuple(
        _of(family, layers, 10)
        for layers in (25, 50, 100, 200)
        for family in ("alike", "types", "plain", "memory")
    ),
    tiny=_of("memory", 3, 2),
    conformance=(
        _of("alike", 5, 4),
        _of("types", 4, 4),
        _of("plain", 4, 4),
        _of("memory", 4, 3),
        _of("gpipe", 4, 3),
        _of("pipedream", 4, 3),
        _of("whole", 4, 3),
    ),
    infeasible=_of("infeasible", 5, 3),
    reference="enumerate",
    provers=("counts_dp", "enumerate"),
)
