"""Generated instances of `TimeToAccuracy` and what the benchmark must know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from splitopt.bench.instances.benchmark import Benchmark, Recipe, by_name
from splitopt.bench.instances.rounding import rounded
from splitopt.problems.time_to_accuracy import TimeToAccuracy
from splitopt.problems.time_to_accuracy.data import CUTS

LAYERS = 6
SIZES = (2, 4, 8, 16, 32)
INTERVALS = (1, 5, 20)


def fleet(
    seed: int,
    devices: int,
    layers: int = LAYERS,
    sizes: int = len(SIZES),
    intervals: int = len(INTERVALS),
    apart: int = 0,
) -> TimeToAccuracy:
    """Speeds and rates over a factor of ten; deeper cuts compute more on devices and send less.

    The curve is one that was measured on the digits data, see `benchmarks.time_to_accuracy`, with a
    convergence bound that calls some plans reachable. `apart` is 1 for a cut per device.
    """
    rng = np.random.default_rng(seed)
    depth = np.arange(1, layers + 1) / layers
    compute, rate = rng.uniform(1.0, 10.0, (2, devices, 1))
    work = 0.02 * (depth * rng.uniform(0.9, 1.1, layers)).cumsum() / layers
    smashed = np.where(depth < 1, 0.04 * (1.2 - depth) * rng.uniform(0.6, 1.4, layers), 0.0)
    model = 0.5 * depth**2
    share = np.minimum(1.0, depth**1.5)
    tables = {
        "forward_s": work / compute,
        "upload_s": 2.0 * smashed / rate,
        "gradient_s": smashed / rate,
        "backward_s": 2.0 * work / compute,
        "model_down_s": model / rate,
        "model_up_s": 2.0 * model / rate,
        "server_s": (1.05 - depth) * 0.02 / devices,
    }
    seconds: dict[str, Any] = {name: rounded(table) for name, table in tables.items()}
    return TimeToAccuracy(
        **seconds,
        batch_sizes=np.array(SIZES[:sizes]),
        intervals=np.array(INTERVALS[:intervals]),
        rounds={
            "rounds": 100.0,
            "batch_factor": 2.5,
            "interval_exponent": 0.3,
            "parameter_share": rounded(share),
        },
        cuts=CUTS[apart],
        convergence_bound={
            "learning_rate": 0.01,
            "smoothness": 20.0,
            "distance": 2.0,
            "variance": 20.0,
            "target": 8.0 / devices,
            "second_moment": rounded(0.001 * depth / devices),
        },
    )


def per_device(seed: int, devices: int, layers: int = LAYERS, **others: int) -> TimeToAccuracy:
    """Draw the same fleet, in which every device may cut where it likes."""
    return fleet(seed, devices, layers, apart=1, **others)


def identical(seed: int, devices: int, layers: int = LAYERS, apart: int = 0) -> TimeToAccuracy:
    """Alike devices and alike cuts: everything is tied."""
    rng = np.random.default_rng(seed)
    names = ("forward_s", "upload_s", "gradient_s", "backward_s", "model_down_s", "model_up_s")
    second: dict[str, Any] = {
        name: np.full((devices, layers), rng.integers(1, 4) / 8) for name in names
    }
    return TimeToAccuracy(
        **second,
        server_s=np.full(layers, 0.125),
        batch_sizes=np.array([1, 2, 4]),
        intervals=np.array([1, 2]),
        rounds={
            "rounds": 64.0,
            "batch_factor": 1.0,
            "interval_exponent": 0.0,
            "parameter_share": np.ones(layers),
        },
        cuts=CUTS[apart],
    )


def masked(seed: int, devices: int, layers: int = LAYERS, **others: int) -> TimeToAccuracy:
    """Devices with little memory: few cuts, and small batches at deep ones; one cut is for all."""
    rng = np.random.default_rng(seed)
    problem = fleet(seed, devices, layers, **others)
    most = rng.integers(0, 40, (devices, layers))
    most[:, layers // 2] = np.maximum(most[:, layers // 2], problem.batch_sizes[0])
    return replace(problem, largest_batch=most)


def tabulated(seed: int, devices: int, layers: int = LAYERS, apart: int = 0) -> TimeToAccuracy:
    """Draw a table of rounds: up and down with the batch size, with plans that never reach."""
    rng = np.random.default_rng(seed)
    problem = fleet(seed, devices, layers, apart=apart)
    shape = problem.rounds_by_choice.shape
    table = problem.rounds_by_choice * rng.uniform(0.7, 1.5, (shape[0], 1, shape[2]))
    reached = rng.random(shape) < 0.8
    reached[1] = True
    # Where devices cut apart, rounds must not fall with the cut: what is never reached stays so.
    reached = np.logical_and.accumulate(reached, axis=1)
    return replace(problem, rounds={"table": rounded(table), "reached": reached})


def infeasible(seed: int, devices: int) -> TimeToAccuracy:
    """Devices of which one cannot take any cut that another one can."""
    problem = fleet(seed, devices, 4)
    most = np.full((devices, 4), 32)
    most[0, ::2] = most[-1, 1::2] = 1
    return replace(problem, largest_batch=most)


def _size(problem: TimeToAccuracy) -> Mapping[str, int]:
    return {
        "devices": problem.devices,
        "layers": problem.layers,
        "batch_sizes": len(problem.batch_sizes),
        "intervals": len(problem.intervals),
    }


def _recipe(family: str, devices: int, seed: int = 0, **others: int) -> Recipe:
    return Recipe(family, {"devices": devices, **others}, seed)


BENCHMARK = Benchmark(
    problem="time_to_accuracy",
    families=by_name(fleet, per_device, identical, masked, tabulated, infeasible),
    size=_size,
    quick=(_recipe("fleet", 20), _recipe("per_device", 8), _recipe("masked", 20)),
    scaling=tuple(_recipe("fleet", devices) for devices in (10, 30, 100, 1000, 10_000)),
    tiny=_recipe("fleet", 2, layers=3, sizes=3, intervals=2),
    conformance=(
        _recipe("fleet", 1),
        _recipe("fleet", 3, layers=4),
        _recipe("per_device", 2, layers=3),
        _recipe("identical", 3, layers=2),
        _recipe("masked", 3, layers=4, seed=1),
        _recipe("tabulated", 2, layers=4, seed=2),
    ),
    infeasible=_recipe("infeasible", 3),
    reference="enumerate",
    provers=("exact", "enumerate"),
)
"""What the benchmark must know of the problem."""
