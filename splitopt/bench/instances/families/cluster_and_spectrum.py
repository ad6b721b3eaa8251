"""Generated families of `ClusterAndSpectrum` and the suites that are made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from splitopt.bench.instances.benchmark import Benchmark, Recipe, by_name
from splitopt.bench.instances.rounding import rounded
from splitopt.latency.clustered import CutCosts, device_seconds
from splitopt.latency.radio import shannon_rate
from splitopt.problems.base import FloatArray
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum
from splitopt.problems.cluster_and_spectrum.data import TIMES
from splitopt.profiles import load_profile

SIZE = 5
_CLASSES = 5
_BATCH = 16
_SERVER_FLOPS = 2e11


def cells(
    seed: int, devices: int, size: int = SIZE, subcarriers: int = 30, epochs: int = 1
) -> ClusterAndSpectrum:
    """Draw a cell of CPSL's section VIII-C: speeds and signals uniform, published constants."""
    rng = np.random.default_rng(seed)
    speed, level = rng.uniform(0.1e9, 1e9, devices), rng.uniform(5.0, 30.0, devices)
    return _cell(speed, level, sizes_of(devices, size), subcarriers, epochs)


def classes(
    seed: int, devices: int, size: int = SIZE, subcarriers: int = 30, epochs: int = 1
) -> ClusterAndSpectrum:
    """Draw five classes of identical devices: many partitions that are the same."""
    rng = np.random.default_rng(seed)
    member = rng.integers(0, _CLASSES, devices)
    speed = rng.uniform(0.1e9, 1e9, _CLASSES)[member]
    level = rng.uniform(5.0, 30.0, _CLASSES)[member]
    return _cell(speed, level, sizes_of(devices, size), subcarriers, epochs)


def fleets(
    seed: int,
    devices: int,
    types: int = 4,
    unlike: int = 0,
    per_mille: int = 0,
    size: int = SIZE,
    subcarriers: int = 30,
    epochs: int = 1,
) -> ClusterAndSpectrum:
    """Draw devices of a few types, some like no other, speeds off by up to so many per mille."""
    rng = np.random.default_rng(seed)
    member = rng.integers(0, types, devices)
    speed = rng.uniform(0.1e9, 1e9, types)[member]
    level = rng.uniform(5.0, 30.0, types)[member]
    others = rng.choice(devices, unlike, replace=False)
    speed[others] = rng.uniform(0.1e9, 1e9, unlike)
    level[others] = rng.uniform(5.0, 30.0, unlike)
    speed *= 1 + per_mille / 1000 * rng.uniform(-1, 1, devices)
    return _cell(speed, level, sizes_of(devices, size), subcarriers, epochs)


def identical(
    seed: int, devices: int, size: int = SIZE, subcarriers: int = 30, epochs: int = 1
) -> ClusterAndSpectrum:
    """Draw one device, as often as there are devices: every phase is a tie."""
    rng = np.random.default_rng(seed)
    speed = np.full(devices, rng.uniform(0.1e9, 1e9))
    level = np.full(devices, rng.uniform(5.0, 30.0))
    return _cell(speed, level, sizes_of(devices, size), subcarriers, epochs)


def unstructured(
    seed: int, devices: int, size: int = SIZE, subcarriers: int = 20, epochs: int = 2
) -> ClusterAndSpectrum:
    """Draw every time from an exponential distribution, independent of all others."""
    rng = np.random.default_rng(seed)
    times = rng.exponential(1.0, (6, devices))
    return _instance(times, 0.1, sizes_of(devices, size), subcarriers, epochs)


def uneven(seed: int, devices: int, subcarriers: int = 30, epochs: int = 1) -> ClusterAndSpectrum:
    """Draw a cell with clusters of 2 to 7 devices."""
    rng = np.random.default_rng(seed)
    speed, level = rng.uniform(0.1e9, 1e9, devices), rng.uniform(5.0, 30.0, devices)
    sizes: list[int] = []
    while (left := devices - sum(sizes)) > 0:
        sizes.append(min(left, int(rng.integers(2, 8))))
    return _cell(speed, level, np.array(sizes), subcarriers, epochs)


def infeasible(seed: int, devices: int, size: int = SIZE) -> ClusterAndSpectrum:
    """Draw a cell with one subcarrier less than a cluster has devices."""
    return cells(seed, devices, size, size - 1)


def _cell(
    speed: FloatArray, level_db: FloatArray, sizes: Any, subcarriers: int, epochs: int
) -> ClusterAndSpectrum:
    """Build a cell at POOL1, with device speeds in MAC/s as the paper counts them."""
    table = load_profile("cpsl-lenet-paper")
    rate = shannon_rate(1e6, 10 ** (level_db / 10))
    seconds = device_seconds(
        CutCosts(
            device_model_bytes=float(table.device_model_bytes[0]),
            smashed_bytes=float(table.smashed_bytes[0]),
            gradient_bytes=float(table.gradient_bytes[0]),
            device_forward_flop=float(table.device_forward_flop[0]),
            device_backward_flop=float(table.device_backward_flop[0]),
            server_flop=float(table.server_forward_flop[0] + table.server_backward_flop[0]),
        ),
        batch_size=_BATCH,
        device_speed=2 * speed,
        server_speed=_SERVER_FLOPS,
        downlink=rate,
        uplink=rate,
        subcarriers=subcarriers,
    )
    times = np.stack(np.broadcast_arrays(*seconds[:6]))
    return _instance(times, float(seconds.server), sizes, subcarriers, epochs)


def sizes_of(devices: int, size: int) -> Any:
    """Return clusters of a size, and a smaller last one where it does not divide."""
    full, left = divmod(devices, size)
    return np.array([size] * full + [left] * (left > 0))


def _instance(
    times: FloatArray, server: float, sizes: Any, subcarriers: int, epochs: int
) -> ClusterAndSpectrum:
    return ClusterAndSpectrum(
        **dict(zip(TIMES, rounded(times), strict=True)),
        server_s_per_device=float(rounded(server)),
        local_epochs=epochs,
        subcarriers=subcarriers,
        cluster_sizes=sizes,
    )


def _measure(problem: ClusterAndSpectrum) -> Mapping[str, int]:
    return {
        "devices": problem.devices,
        "clusters": len(problem.cluster_sizes),
        "subcarriers": problem.subcarriers,
    }


def _recipe(family: str, devices: int, seed: int = 0, **others: int) -> Recipe:
    return Recipe(family, {"devices": devices, **others}, seed)


BENCHMARK = Benchmark(
    problem="cluster_and_spectrum",
    families=by_name(cells, classes, fleets, identical, unstructured, uneven, infeasible),
    size=_measure,
    quick=(_recipe("cells", 9, size=3, subcarriers=9), _recipe("cells", 30)),
    scaling=(
        *(
            _recipe(family, devices)
            for devices in (10, 30, 100, 300, 1000, 3000, 10_000)
            for family in ("cells", "classes")
        ),
        _recipe("cells", 60),
        _recipe("cells", 200),
        _recipe("fleets", 100),
        _recipe("fleets", 1_000, unlike=10),
        _recipe("fleets", 1_000, per_mille=10),
        _recipe("fleets", 10_000, types=6),
    ),
    tiny=_recipe("cells", 4, size=2, subcarriers=5),
    conformance=(
        _recipe("cells", 1),
        _recipe("cells", 6, size=3, subcarriers=6),
        _recipe("cells", 4, size=2, subcarriers=2, seed=1),
        _recipe("classes", 6, size=2, subcarriers=5),
        _recipe("fleets", 6, types=2, size=2, subcarriers=5, unlike=1),
        _recipe("identical", 4, size=2, subcarriers=5),
        _recipe("unstructured", 5, size=2, subcarriers=5),
        _recipe("uneven", 6, seed=2, subcarriers=8),
    ),
    infeasible=_recipe("infeasible", 6, size=3),
    reference="enumerate",
    provers=("enumerate", "anneal", "set_partition"),
)
