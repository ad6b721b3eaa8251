"""Generated instances of `CutUnderUncertainty` and what the benchmark must know of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from splitopt.bench.instances.benchmark import Benchmark, Recipe, by_name
from splitopt.bench.instances.rounding import rounded
from splitopt.distributions import Distribution, Lognormal, Normal, Uniform
from splitopt.problems.base import FloatArray
from splitopt.problems.cluster_and_spectrum.data import TIMES
from splitopt.problems.cut_under_uncertainty import CutUnderUncertainty, Generator
from splitopt.problems.cut_under_uncertainty.blocks import Blocks
from splitopt.problems.cut_under_uncertainty.data import ListedScenarios

CLUSTER = 5
"""Devices in a cluster of the larger families, as in CPSL."""
EACH = 6
"""Subcarriers for each device of the largest cluster, as in CPSL."""


def drawn(
    seed: int, devices: int, cuts: int, samples: int, epochs: int = 1, each: int = EACH
) -> CutUnderUncertainty:
    """Speeds truncated normal as in CPSL section VIII-C; cuts trade computing against sending."""
    rng = np.random.default_rng(seed)
    speed = rounded(rng.uniform(0.3, 1.0, devices))
    compute = Normal(speed, 0.05, 0.05)
    return _generated(_tables(rng, devices, cuts, epochs, each), compute, speed, samples, seed)


def close_cuts(
    seed: int, devices: int, cuts: int, samples: int, each: int = EACH
) -> CutUnderUncertainty:
    """Cuts within a fraction of a per cent of each other: hard to tell apart by samples."""
    rng = np.random.default_rng(seed)
    one = _tables(rng, devices, 1, 1, each)
    wiggle = 1.0 + 0.002 * rng.uniform(-1, 1, (cuts, devices))
    times = {field: rounded(table * wiggle) for field, table in one.times.items()}
    server = np.repeat(one.server_s_per_device, cuts)
    blocks = Blocks(times, server, 1, one.subcarriers, one.cluster_sizes)
    speed = np.ones(devices)
    return _generated(blocks, Lognormal(speed, 0.3), speed, samples, seed)


def wide(seed: int, devices: int, cuts: int, samples: int, each: int = EACH) -> CutUnderUncertainty:
    """Speeds over a factor of ten: averages are far from typical rounds."""
    rng = np.random.default_rng(seed)
    speed = np.ones(devices)
    blocks = _tables(rng, devices, cuts, 2, each)
    return _generated(blocks, Uniform(0.2, 2.0), speed, samples, seed)


def listed(
    seed: int, devices: int, cuts: int, samples: int, each: int = EACH
) -> CutUnderUncertainty:
    """List the samples one by one, without a distribution behind them."""
    rng = np.random.default_rng(seed)
    one = _tables(rng, devices, cuts, 1, each)
    factor = rounded(np.exp(rng.normal(0.0, 0.5, (samples, 1, devices))))
    times = {field: rounded(table * factor) for field, table in one.times.items()}
    server = np.tile(one.server_s_per_device, (samples, 1))
    blocks = Blocks(times, server, one.local_epochs, one.subcarriers, one.cluster_sizes)
    return CutUnderUncertainty(_names(cuts), ListedScenarios(blocks))


def identical(
    seed: int, devices: int, cuts: int, samples: int, subcarriers: int = 2 * CLUSTER
) -> CutUnderUncertainty:
    """Alike devices and alike cuts: everything is tied."""
    rng = np.random.default_rng(seed)
    times = {field: np.full((cuts, devices), rounded(rng.uniform(0.5, 2.0))) for field in TIMES}
    blocks = Blocks(times, np.full(cuts, 0.125), 1, subcarriers, _sizes(devices))
    speed = np.ones(devices)
    return _generated(blocks, Uniform(1.0, 1.0), speed, samples, seed)


def infeasible(seed: int, devices: int) -> CutUnderUncertainty:
    """Draw a cluster with more devices than there are subcarriers."""
    rng = np.random.default_rng(seed)
    times = {field: rounded(rng.uniform(0.5, 2.0, (2, devices))) for field in TIMES}
    blocks = Blocks(times, np.zeros(2), 1, devices - 1, np.array([devices]))
    return _generated(blocks, Uniform(0.5, 1.0), np.ones(devices), 2, seed)


def _tables(rng: np.random.Generator, devices: int, cuts: int, epochs: int, each: int) -> Blocks:
    """Draw nominal rounds: a deeper cut computes more and sends less smashed data."""
    depth = np.linspace(0.2, 1.0, cuts)[:, None]
    rate = rng.uniform(1.0, 8.0, devices)
    work = depth * rng.uniform(0.8, 1.2, (cuts, devices)) * 2.0
    smashed = (1.2 - depth) * 16.0 / rate
    model = depth * 8.0 / rate
    sizes = _sizes(devices)
    subcarriers = each * int(sizes.max())
    return Blocks(
        {
            "broadcast_s": rounded(model / subcarriers),
            "forward_s": rounded(work),
            "backward_s": rounded(work * 1.5),
            "upload_smashed_s": rounded(smashed),
            "download_gradient_s": rounded(smashed * 0.5),
            "upload_model_s": rounded(model),
        },
        rounded(0.05 * (1.2 - depth[:, 0])),
        epochs,
        subcarriers,
        sizes,
    )


def _sizes(devices: int) -> Any:
    """Clusters of five; few devices make clusters of two, and one of what is left."""
    size = CLUSTER if devices >= 2 * CLUSTER else 2
    full, rest = divmod(devices, size)
    return np.array([size] * full + ([rest] if rest else []), dtype=np.int64)


def _generated(
    blocks: Blocks, compute: Distribution, speed: FloatArray, samples: int, seed: int
) -> CutUnderUncertainty:
    source = Generator(blocks, samples, seed, compute=compute, nominal_compute=speed)
    return CutUnderUncertainty(_names(len(blocks.server_s_per_device)), source)


def _names(cuts: int) -> tuple[str, ...]:
    return tuple(f"cut-{v + 1}" for v in range(cuts))


def _size(problem: CutUnderUncertainty) -> Mapping[str, int]:
    return {"devices": problem.devices, "cuts": len(problem.cuts), "samples": problem.samples}


def _recipe(family: str, devices: int, cuts: int, samples: int, **more: int) -> Recipe:
    return Recipe(family, {"devices": devices, "cuts": cuts, "samples": samples, **more})


BENCHMARK = Benchmark(
    problem="cut_under_uncertainty",
    families=by_name(drawn, close_cuts, wide, listed, identical, infeasible),
    size=_size,
    quick=(_recipe("drawn", 6, 3, 6), _recipe("drawn", 30, 4, 10)),
    scaling=tuple(_recipe("drawn", devices, 4, 10) for devices in (10, 30, 100, 300)),
    tiny=_recipe("drawn", 4, 2, 3),
    conformance=(
        # Few subcarriers: a back end proves the deterministic equivalent well within the time.
        _recipe("drawn", 3, 2, 2, each=2),
        _recipe("drawn", 1, 2, 3),
        _recipe("close_cuts", 2, 3, 2, each=2),
        _recipe("wide", 2, 2, 3, each=2),
        _recipe("listed", 3, 2, 2, each=2),
        _recipe("identical", 4, 2, 2, subcarriers=3),
    ),
    infeasible=Recipe("infeasible", {"devices": 3}),
    reference="enumerate",
    provers=("enumerate", "saa"),
    prover_options={"saa": {"over": "samples"}},
)
