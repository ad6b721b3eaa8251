"""Generated instances of `CommonCut` and what the benchmark must know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from splitopt.bench.instances.benchmark import Benchmark, Recipe, by_name
from splitopt.bench.instances.rounding import rounded
from splitopt.problems.common_cut import CommonCut
from splitopt.problems.common_cut.data import TABLES

LAYERS = 12


def fleet(seed: int, devices: int, layers: int = LAYERS, batches: int = 6) -> CommonCut:
    """Speeds and rates over a factor of ten; a deeper cut computes more and sends less."""
    rng = np.random.default_rng(seed)
    depth = np.arange(1, layers + 1) / layers
    compute, rate = rng.uniform(1.0, 10.0, (2, devices, 1))
    work = 40.0 * depth * rng.uniform(0.9, 1.1, layers).cumsum() / layers
    smashed = np.where(depth < 1, 30.0 * (1.2 - depth) * rng.uniform(0.6, 1.4, layers), 0.0)
    model = 4.0 * depth**2
    samples = rng.integers(batches, 4 * batches, devices)
    return _problem(
        {
            "model_down_s": model / rate,
            "forward_s": work / compute,
            "upload_s": 2.0 * smashed / rate,
            "server_s": (1.0 - depth) * np.ones((devices, 1)) * 8.0,
            "gradient_s": smashed / rate,
            "backward_s": 2.0 * work / compute,
            "model_up_s": 2.0 * model / rate,
        },
        samples,
        np.minimum(samples, np.maximum(1, samples // batches)),
    )


def identical(seed: int, devices: int, layers: int = LAYERS) -> CommonCut:
    """Alike devices and alike cuts: everything is tied."""
    rng = np.random.default_rng(seed)
    tables = {name: np.full((devices, layers), rng.uniform(0.5, 2.0)) for name in TABLES}
    return _problem(tables, np.full(devices, 8), np.full(devices, 3))


def masked(seed: int, devices: int, layers: int = LAYERS) -> CommonCut:
    """Devices that may use few cuts, of which they share two at least, and the last one."""
    rng = np.random.default_rng(seed)
    allowed = rng.random((devices, layers)) < 0.6
    allowed[:, [layers // 3, layers // 2, layers - 1]] = True
    served = rng.random((2, layers)) < 0.8
    served[:, [layers // 3, layers // 2]] = True
    limits = {"copies_allowed": served[0], "shared_allowed": served[1]}
    return replace(fleet(seed, devices, layers), allowed=allowed, **limits)


def infeasible(seed: int, devices: int) -> CommonCut:
    """Devices of which one may not use any cut that another one may."""
    problem = fleet(seed, devices, 4)
    allowed = np.ones((devices, 4), dtype=np.bool_)
    allowed[0, ::2] = allowed[-1, 1::2] = False
    return replace(problem, allowed=allowed)


def _problem(
    tables: Mapping[str, np.ndarray[tuple[int, int], np.dtype[np.float64]]],
    samples: np.ndarray[tuple[int], np.dtype[np.int64]],
    sizes: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> CommonCut:
    times = {name: rounded(table) for name, table in tables.items()}
    return CommonCut(**times, samples=samples, batch_size=sizes, epochs=2)


def _size(problem: CommonCut) -> Mapping[str, int]:
    return {"devices": problem.devices, "layers": problem.layers}


def _recipe(family: str, devices: int, seed: int = 0, **others: int) -> Recipe:
    return Recipe(family, {"devices": devices, **others}, seed)


BENCHMARK = Benchmark(
    problem="common_cut",
    families=by_name(fleet, identical, masked, infeasible),
    size=_size,
    quick=(_recipe("fleet", 5), _recipe("masked", 30)),
    scaling=tuple(_recipe("fleet", devices) for devices in (10, 30, 100, 300, 1000)),
    tiny=_recipe("fleet", 2, layers=3),
    conformance=(
        _recipe("fleet", 1),
        _recipe("fleet", 4, layers=5),
        _recipe("identical", 3, layers=4),
        _recipe("masked", 4, seed=1),
        _recipe("fleet", 3, seed=2, layers=2),
    ),
    infeasible=_recipe("infeasible", 3),
    reference="enumerate",
    provers=("enumerate",),
)
