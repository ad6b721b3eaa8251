"""Generated families of `CutAndClusters` and the suites that are made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from splitopt.bench.instances.benchmark import Benchmark, Recipe, by_name
from splitopt.bench.instances.families.cluster_and_spectrum import SIZE, sizes_of
from splitopt.bench.instances.rounding import rounded
from splitopt.latency.clustered import CutCosts, device_seconds
from splitopt.latency.radio import shannon_rate
from splitopt.problems.base import FloatArray
from splitopt.problems.cluster_and_spectrum.data import TIMES
from splitopt.problems.cut_and_clusters import CutAndClusters
from splitopt.profiles import load_profile

_BATCH = 16
_SERVER_FLOPS = 2e11
_PER_TEN = 10


def cells(
    seed: int,
    devices: int,
    size: int = SIZE,
    subcarriers: int = 30,
    epochs: int = 1,
    own: int = 0,
    strict: int = 0,
) -> CutAndClusters:
    """Draw a cell of CPSL's section VIII-C at all cuts of its LeNet but the last.

    Parameters
    ----------
    own
        1 for a cut for every cluster, 0 for a common one.
    strict
        Tenths of the devices that a limit of leakage keeps from the first half of the cuts.
    """
    rng = np.random.default_rng(seed)
    speed, level = rng.uniform(0.1e9, 1e9, devices), rng.uniform(5.0, 30.0, devices)
    table = load_profile("cpsl-lenet-same")
    rate = shannon_rate(1e6, 10 ** (level / 10))
    rows = []
    for cut in range(table.layer_count - 1):
        costs = CutCosts(
            device_model_bytes=float(table.device_model_bytes[cut]),
            smashed_bytes=float(table.smashed_bytes[cut]),
            gradient_bytes=float(table.gradient_bytes[cut]),
            device_forward_flop=float(table.device_forward_flop[cut]),
            device_backward_flop=float(table.device_backward_flop[cut]),
            server_flop=float(table.server_forward_flop[cut] + table.server_backward_flop[cut]),
        )
        seconds = device_seconds(
            costs,
            batch_size=_BATCH,
            device_speed=2 * speed,
            server_speed=_SERVER_FLOPS,
            downlink=rate,
            uplink=rate,
            subcarriers=subcarriers,
        )
        rows.append(np.stack(np.broadcast_arrays(*seconds[:7])))
    names = table.layers[: len(rows)]
    allowed = np.ones((len(rows), devices), dtype=np.bool_)
    held = rng.permutation(devices)[: strict * devices // _PER_TEN]
    allowed[: len(rows) // 2, held] = False
    counts = (epochs, subcarriers, sizes_of(devices, size))
    return _instance(names, np.stack(rows, axis=1), counts, allowed, own)


def unstructured(
    seed: int,
    devices: int,
    cuts: int = 4,
    size: int = SIZE,
    subcarriers: int = 20,
    epochs: int = 2,
    own: int = 0,
    refused: int = 0,
) -> CutAndClusters:
    """Draw every time from an exponential distribution; so many tenths of the cuts are refused.

    Every device may take the last cut all the same.
    """
    rng = np.random.default_rng(seed)
    times = rng.exponential(1.0, (7, cuts, devices))
    times[6] *= 0.1
    allowed = rng.random((cuts, devices)) >= refused / _PER_TEN
    allowed[-1] = True
    names = tuple(f"cut{cut + 1}" for cut in range(cuts))
    counts = (epochs, subcarriers, sizes_of(devices, size))
    return _instance(names, times, counts, allowed, own)


def apart(seed: int, devices: int, size: int = SIZE, own: int = 1) -> CutAndClusters:
    """Draw two halves of the devices that share no cut: at most one cluster can be mixed."""
    drawn = unstructured(seed, devices, 3, size, own=own)
    allowed = np.ones((3, devices), dtype=np.bool_)
    half = devices // 2 // size * size
    allowed[0, half:] = False
    allowed[1:, :half] = False
    fields = {**drawn.data(), "allowed": allowed}
    return CutAndClusters(**fields)


def infeasible(seed: int, devices: int, size: int = SIZE) -> CutAndClusters:
    """Draw devices of which one may take no cut that the others may, where the cut is common."""
    drawn = unstructured(seed, devices, 2, size)
    allowed = np.ones((2, devices), dtype=np.bool_)
    allowed[0, 1:] = False
    allowed[1, 0] = False
    fields = {**drawn.data(), "allowed": allowed}
    return CutAndClusters(**fields)


def _instance(
    names: tuple[str, ...],
    times: FloatArray,
    counts: tuple[int, int, Any],
    allowed: Any,
    own: int,
) -> CutAndClusters:
    """Build an instance of times (7, V, N), the last row the server's."""
    epochs, subcarriers, sizes = counts
    return CutAndClusters(
        names,
        **dict(zip((*TIMES, "server_s"), rounded(times), strict=True)),
        local_epochs=epochs,
        subcarriers=subcarriers,
        cluster_sizes=sizes,
        allowed=allowed,
        cut_per_cluster=bool(own),
    )


def _measure(problem: CutAndClusters) -> Mapping[str, int]:
    return {
        "devices": problem.devices,
        "cuts": len(problem.cuts),
        "clusters": len(problem.cluster_sizes),
        "subcarriers": problem.subcarriers,
    }


def _recipe(family: str, devices: int, seed: int = 0, **others: int) -> Recipe:
    return Recipe(family, {"devices": devices, **others}, seed)


BENCHMARK = Benchmark(
    problem="cut_and_clusters",
    families=by_name(cells, unstructured, apart, infeasible),
    size=_measure,
    quick=(
        _recipe("cells", 9, size=3, subcarriers=9),
        _recipe("cells", 9, size=3, subcarriers=9, own=1),
    ),
    scaling=tuple(
        _recipe(family, devices, own=own)
        for devices in (10, 20, 30, 40, 60)
        for family in ("cells", "unstructured")
        for own in (0, 1)
    ),
    tiny=_recipe("unstructured", 4, size=2, subcarriers=5, refused=3),
    conformance=(
        _recipe("cells", 6, size=3, subcarriers=6),
        _recipe("cells", 6, size=2, subcarriers=5, own=1, strict=5),
        _recipe("unstructured", 5, size=2, subcarriers=5),
        _recipe("unstructured", 6, size=2, subcarriers=5, own=1, refused=4),
        _recipe("apart", 6, size=3),
        _recipe("cells", 1),
    ),
    infeasible=_recipe("infeasible", 6, size=3),
    reference="enumerate",
    provers=("enumerate", "set_partition"),
)
