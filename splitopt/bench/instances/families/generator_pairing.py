"""Generated families of `GeneratorPairing` and the suites that are made of them.

Devices have 2 to 8 random classes each, fewer where there are few labels. Every class is one of
some devices at least, as many as any option asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from splitopt.bench.instances.benchmark import Benchmark, Recipe, by_name
from splitopt.bench.instances.rounding import rounded
from splitopt.problems.base import BoolArray, FloatArray
from splitopt.problems.generator_pairing import GeneratorPairing

LABELS = 10
_FEWEST, _MOST = 2, 8
_OWNERS = 3
"""Devices that have a class at least, if there are so many."""


def links(seed: int, devices: int, labels: int = LABELS) -> GeneratorPairing:
    """Draw a link up and one down for every device, lognormal; a transfer takes both."""
    rng = np.random.default_rng(seed)
    has = _classes(rng, devices, labels)
    return _instance(has, _over_links(rng, devices))


def unrelated(seed: int, devices: int, labels: int = LABELS) -> GeneratorPairing:
    """Draw the cost of every pair by itself."""
    rng = np.random.default_rng(seed)
    has = _classes(rng, devices, labels)
    return _instance(has, rng.uniform(1.0, 10.0, (devices, devices)))


def equal(seed: int, devices: int, labels: int = LABELS) -> GeneratorPairing:
    """Return instances whose transfers cost the same: many pairings are the best."""
    rng = np.random.default_rng(seed)
    return _instance(_classes(rng, devices, labels), np.ones((devices, devices)))


def whole(seed: int, devices: int, labels: int = LABELS) -> GeneratorPairing:
    """Draw small whole costs, zero among them: ties."""
    rng = np.random.default_rng(seed)
    has = _classes(rng, devices, labels)
    return _instance(has, rng.integers(0, 5, (devices, devices)).astype(np.float64))


def capped(seed: int, devices: int, labels: int = LABELS, cap: int = 0) -> GeneratorPairing:
    """Draw links, and cap every sender: by default at twice what a device needs on average."""
    problem = links(seed, devices, labels)
    if cap == 0:
        cap = 2 * int(np.ceil((labels - problem.classes.sum(axis=1).mean()) / 5)) + 1
    return replace(_plain(problem), caps=cap)


def crowded(seed: int, devices: int, labels: int = LABELS, cap: int = 5) -> GeneratorPairing:
    """Draw the cost of every pair by itself, and cap every sender."""
    return replace(_plain(unrelated(seed, devices, labels)), caps=cap)


def several(seed: int, devices: int, labels: int = LABELS) -> GeneratorPairing:
    """Draw links, with two senders for every class."""
    return replace(_plain(links(seed, devices, labels)), sources=2)


def redundant(seed: int, devices: int, labels: int = LABELS) -> GeneratorPairing:
    """Draw the cost of every pair, and let any one sender drop out."""
    return replace(_plain(unrelated(seed, devices, labels)), redundant=True)


def quality(seed: int, devices: int, labels: int = LABELS) -> GeneratorPairing:
    """Draw links and qualities; a lost one costs as much as a mean transfer."""
    problem = links(seed, devices, labels)
    rng = np.random.default_rng([seed, 1])
    found = rounded(rng.uniform(0.3, 1.0, problem.classes.shape))
    weight = float(rounded(problem.cost.mean()))
    return replace(_plain(problem), quality=found, quality_weight=weight)


def counted(seed: int, devices: int, labels: int = LABELS) -> GeneratorPairing:
    """Draw links and samples; a class of fewer than ten samples counts as missing."""
    problem = links(seed, devices, labels)
    rng = np.random.default_rng([seed, 2])
    counts = problem.classes * rng.integers(1, 100, problem.classes.shape)
    counts[np.arange(devices), counts.argmax(axis=1)] += 10
    return GeneratorPairing(
        problem.cost, labels=list(range(labels)), counts=counts, least_samples=10
    )


def infeasible(seed: int, devices: int, labels: int = LABELS) -> GeneratorPairing:
    """Draw links, and let nobody send anything."""
    return replace(_plain(links(seed, devices, labels)), caps=0)


def _classes(rng: np.random.Generator, devices: int, labels: int) -> BoolArray:
    """Shape (D, C): 2 to 8 random classes for each device, every class for some devices."""
    most = max(1, min(_MOST, labels - 1))
    sizes = rng.integers(min(_FEWEST, most), most + 1, devices)
    has = np.zeros((devices, labels), dtype=np.bool_)
    for i, size in enumerate(sizes):
        has[i, rng.permutation(labels)[:size]] = True
    for c in range(labels):
        order = rng.permutation(devices)
        lacking = [i for i in order if not has[i, c]]
        short = min(_OWNERS, devices) - (devices - len(lacking))
        has[lacking[: max(0, short)], c] = True
    return has


def _over_links(rng: np.random.Generator, devices: int) -> FloatArray:
    up, down = np.exp(rng.normal(0.0, 0.5, (2, devices)))
    return np.asarray(up[None, :] + down[:, None])


def _instance(has: BoolArray, cost: FloatArray) -> GeneratorPairing:
    labels = list(range(has.shape[1]))
    return GeneratorPairing(rounded(cost), classes=has, labels=labels)


def _plain(problem: GeneratorPairing) -> GeneratorPairing:
    """Return a problem whose fields can be replaced: one number of sources rather than a table."""
    return replace(problem, sources=1)


def _size(problem: GeneratorPairing) -> Mapping[str, int]:
    return {"devices": problem.devices, "labels": len(problem.labels)}


def _of(family: str, devices: int, labels: int, seed: int = 0, **others: int) -> Recipe:
    return Recipe(family, {"devices": devices, "labels": labels, **others}, seed)


BENCHMARK = Benchmark(
    problem="generator_pairing",
    families=by_name(
        links,
        unrelated,
        equal,
        whole,
        capped,
        crowded,
        several,
        redundant,
        quality,
        counted,
        infeasible,
    ),
    size=_size,
    quick=(_of("links", 30, 10), _of("capped", 12, 6), _of("quality", 8, 6)),
    scaling=tuple(
        _of(family, devices, 20)
        for devices in (10, 30, 100, 300, 1000)
        for family in ("links", "unrelated", "equal")
    ),
    tiny=_of("links", 4, 4),
    conformance=(
        _of("links", 6, 5),
        _of("unrelated", 6, 5),
        _of("equal", 5, 5),
        _of("whole", 7, 6),
        _of("capped", 6, 5, cap=2),
        _of("crowded", 5, 4, cap=2),
        _of("several", 5, 5),
        _of("redundant", 6, 5),
        _of("quality", 5, 5),
        _of("counted", 6, 5),
    ),
    infeasible=_of("infeasible", 6, 5),
    reference="enumerate",
    provers=("set_cover", "enumerate"),
)
