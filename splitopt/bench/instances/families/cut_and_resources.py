"""Generated families of `CutAndResources` and the suites that are made of them.

All seconds at the full resource are divided by the number of devices, as if links and server grew
with the fleet: a fair share then costs the same at every size, and no size is trivial.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from splitopt.bench.instances.benchmark import Benchmark, Recipe, by_name
from splitopt.bench.instances.edge_servers import seats, servers
from splitopt.bench.instances.number_partitioning import partitions
from splitopt.bench.instances.rounding import rounded
from splitopt.problems.base import FloatArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.cut_and_resources.problem import (
    ChoicesAndResources,
    RobustCutAndResources,
)

LAYERS = 8
_BATCHES = (16, 32, 50, 64, 128)
_SAMPLES = 10.0
_CLASSES = 5


def uniform(seed: int, devices: int, layers: int = LAYERS) -> CutAndResources:
    """No structure at all: every entry uniform in 0.5 to 20 s, independent of all others."""
    rng = np.random.default_rng(seed)
    tables = rng.uniform(0.5, 20.0, (4, devices, layers))
    tables[:3] /= devices
    return _instance(rng, tables)


def bounded(seed: int, devices: int, layers: int = LAYERS) -> CutAndResources:
    """Draw the curves of one model, and devices that differ by a factor of ten at most."""
    rng = np.random.default_rng(seed)
    return _instance(rng, _fleet(rng, _speeds(rng, devices), layers))


def heavy_tail(seed: int, devices: int, layers: int = LAYERS) -> CutAndResources:
    """Like `bounded`, with a Pareto tail (index 1.1) of slow devices."""
    rng = np.random.default_rng(seed)
    slow = 1.0 + rng.pareto(1.1, devices)
    return _instance(rng, _fleet(rng, 1.0 / slow, layers))


def classes(seed: int, devices: int, layers: int = LAYERS) -> CutAndResources:
    """Five classes of identical devices: symmetry that a plain branch and bound drowns in."""
    rng = np.random.default_rng(seed)
    tables = _classes(rng, devices, layers)
    return _instance(rng, tables)


def near_ties(seed: int, devices: int, layers: int = LAYERS) -> CutAndResources:
    """Five classes of devices that differ by a factor of 1e-6 at most."""
    rng = np.random.default_rng(seed)
    tables = _classes(rng, devices, layers)
    return _instance(rng, tables * (1 + 1e-6 * rng.uniform(-1, 1, tables.shape)))


def masks(seed: int, devices: int, layers: int = LAYERS) -> CutAndResources:
    """Like `bounded`, each cut allowed with probability 0.4 and at least one per device."""
    rng = np.random.default_rng(seed)
    tables = _fleet(rng, _speeds(rng, devices), layers)
    allowed = rng.random((devices, layers)) < 0.4
    allowed[np.arange(devices), rng.integers(0, layers, devices)] = True
    return _instance(rng, tables, allowed)


def decades(seed: int, devices: int, layers: int = LAYERS) -> CutAndResources:
    """Entries over eight decades, from 1e-4 to 1e4 s, log-uniform and independent."""
    rng = np.random.default_rng(seed)
    tables = 10.0 ** rng.uniform(-4, 4, (4, devices, layers))
    tables[:3] /= devices
    return _instance(rng, tables)


def identical(seed: int, devices: int, layers: int = LAYERS) -> CutAndResources:
    """One device, as often as there are devices."""
    rng = np.random.default_rng(seed)
    one = _fleet(rng, _speeds(rng, 1), layers, shared_by=devices)
    return _instance(rng, np.repeat(one, devices, axis=1), batch=np.full(devices, 32.0))


def infeasible(seed: int, devices: int, layers: int = LAYERS) -> CutAndResources:
    """Like `bounded`, but the last device may use no cut."""
    rng = np.random.default_rng(seed)
    tables = _fleet(rng, _speeds(rng, devices), layers)
    allowed = np.ones((devices, layers), dtype=np.bool_)
    allowed[-1] = False
    return _instance(rng, tables, allowed)


def single_cut(seed: int, devices: int, layers: int = LAYERS) -> CutAndResources:
    """Like `bounded`, but every device may use one cut only: nothing is left but the shares."""
    rng = np.random.default_rng(seed)
    tables = _fleet(rng, _speeds(rng, devices), layers)
    allowed = np.zeros((devices, layers), dtype=np.bool_)
    allowed[np.arange(devices), rng.integers(0, layers, devices)] = True
    return _instance(rng, tables, allowed)


def server_memory(seed: int, devices: int, layers: int = LAYERS) -> CutAndResources:
    """Like `bounded`, with a server that can hold half of what the plan without limit needs.

    Its copies take the parameters behind the cut, and the saved tensors of the device's batch.
    """
    rng = np.random.default_rng(seed)
    free = _instance(rng, _fleet(rng, _speeds(rng, devices), layers))
    behind = [np.append(np.cumsum(rng.uniform(0.0, 1.0, layers - 1))[::-1], 0.0) for _ in range(2)]
    assert free.weights is not None
    use = rounded(behind[0] + free.weights[:, None] / 50.0 * behind[1])
    cuts = free.roots.sum(axis=2) ** 2 + free.device_s  # a plan that any machine finds alike
    limit = 0.5 * float(use[np.arange(devices), cuts.argmin(axis=1)].sum())
    return _limited(free, {"server memory": (use, limit)})


def two_budgets(seed: int, devices: int, layers: int = LAYERS) -> CutAndResources:
    """Like `bounded`, with two budgets of whole numbers, half used up at the least: many ties."""
    rng = np.random.default_rng(seed)
    free = _instance(rng, _fleet(rng, _speeds(rng, devices), layers))
    found = {}
    for name in ("a", "b"):
        use = rng.integers(0, 4, (devices, layers)).astype(np.float64)
        found[name] = use, float(2 * use.min(axis=1).sum() + devices)
    return _limited(free, found)


def _limited(
    free: CutAndResources, budgets: Mapping[str, tuple[FloatArray, float]]
) -> CutAndResources:
    listed = [
        {"name": name, "use": use, "limit": float(rounded(np.array(limit)))}
        for name, (use, limit) in budgets.items()
    ]
    return CutAndResources.from_data(free.data() | {"budgets": listed}, free.objective)


def _speeds(rng: np.random.Generator, devices: int) -> FloatArray:
    """Log-uniform speeds between 1/10 and 1."""
    return np.asarray(np.exp(rng.uniform(np.log(0.1), 0.0, devices)))


def _fleet(
    rng: np.random.Generator, speed: FloatArray, layers: int, shared_by: int | None = None
) -> FloatArray:
    """Tables (4, N, L) of download, upload, server and device seconds of one model.

    With every layer on the device, its work and model size rise and the smashed data falls, each
    in random steps; at the last cut nothing is left for the server and nothing crosses but the
    model. Data sets and links differ by a factor of four.
    """
    devices = len(speed)
    work = np.cumsum(rng.uniform(0.2, 1.8, layers))
    work /= work[-1]
    model = np.cumsum(rng.uniform(0.0, 1.0, layers) * np.arange(1, layers + 1) ** 2)
    model /= model[-1]
    smashed = np.sort(rng.uniform(0.05, 1.0, layers))[::-1].copy()
    smashed[-1] = 0.0
    samples = rng.uniform(1.0, 4.0, devices)[:, None]
    slow_link = rng.uniform(1.0, 4.0, (2, devices, 1))
    traffic = 2.0 * model + samples * smashed
    server = samples * (1.0 - work)
    server[:, -1] = 0.0
    shared = np.stack((slow_link[0] * traffic, 2.0 * slow_link[1] * traffic, server))
    device = samples * work / speed[:, None]
    shared /= shared_by or devices
    return np.concatenate((shared, device[None])) * _SAMPLES


def _classes(rng: np.random.Generator, devices: int, layers: int) -> FloatArray:
    """Tables of a few classes, every device in a random one."""
    few = _fleet(rng, _speeds(rng, _CLASSES), layers, shared_by=devices)
    return np.asarray(few[:, rng.integers(0, _CLASSES, devices)])


def _instance(
    rng: np.random.Generator,
    tables: FloatArray,
    allowed: np.ndarray[Any, Any] | None = None,
    batch: FloatArray | None = None,
) -> CutAndResources:
    seconds = rounded(tables)
    shape = seconds.shape[1:]
    return CutAndResources(
        download_s=seconds[0],
        upload_s=seconds[1],
        server_s=seconds[2],
        device_s=seconds[3],
        allowed=np.ones(shape, dtype=np.bool_) if allowed is None else allowed,
        weights=rng.choice(_BATCHES, shape[0]).astype(np.float64) if batch is None else batch,
    )


def slow_devices(seed: int, devices: int, layers: int = LAYERS) -> RobustCutAndResources:
    """Draw bounded speeds; a quarter of the devices may be slow, by factors from 1.5 to 4."""
    return _robust(seed, devices, layers, None)


def quorums(seed: int, devices: int, layers: int = LAYERS) -> RobustCutAndResources:
    """Draw `slow_devices` of which three quarters are waited for."""
    return _robust(seed, devices, layers, max(1, 3 * devices // 4))


def _robust(seed: int, devices: int, layers: int, quorum: int | None) -> RobustCutAndResources:
    rng = np.random.default_rng(seed)
    seconds = rounded(_fleet(rng, _speeds(rng, devices), layers))
    compute = rounded(rng.uniform(1.5, 4.0, devices))
    links = rounded(rng.uniform(1.0, 2.0, devices))
    slow = {"devices": max(1, devices // 4), "compute": compute, "links": links}
    down, up, server, own = seconds
    return RobustCutAndResources(down, up, server, own, slow=slow, quorum=quorum)


def _size(problem: CutAndResources) -> Mapping[str, int]:
    if isinstance(problem, ChoicesAndResources):
        sizes = {"choices": problem.layers, "resources": len(problem.resources)}
        return {"devices": problem.devices, **sizes}
    return {"devices": problem.devices, "layers": problem.layers}


def _small(family: str, devices: int, layers: int, seed: int = 0) -> Recipe:
    return Recipe(family, {"devices": devices, "layers": layers}, seed)


BENCHMARK = Benchmark(
    problem="cut_and_resources",
    families=by_name(
        uniform,
        bounded,
        heavy_tail,
        classes,
        near_ties,
        masks,
        decades,
        identical,
        infeasible,
        single_cut,
        server_memory,
        two_budgets,
        servers,
        seats,
        partitions,
        slow_devices,
        quorums,
    ),
    size=_size,
    quick=(
        _small("uniform", 4, 5),
        _small("bounded", 20, LAYERS),
    ),
    scaling=tuple(
        Recipe(family, {"devices": devices})
        for devices in (10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
        for family in ("bounded", "classes")
    )
    + tuple(
        Recipe("servers", {"devices": devices, "servers": count})
        for devices, count in ((20, 3), (100, 5), (1000, 10))
    ),
    tiny=_small("uniform", 2, 3),
    conformance=(
        _small("uniform", 1, 4),
        _small("uniform", 3, 5),
        _small("bounded", 3, 5, seed=1),
        _small("heavy_tail", 3, 4),
        _small("masks", 4, 5),
        _small("decades", 3, 4),
        _small("near_ties", 4, 3),
        _small("identical", 4, 3),
        _small("single_cut", 3, 4),
        _small("server_memory", 4, 5),
        _small("two_budgets", 4, 4),
        Recipe("servers", {"devices": 4, "servers": 2, "layers": 3}),
        Recipe("seats", {"devices": 4, "servers": 3, "layers": 2}),
        Recipe("partitions", {"devices": 5, "resources": 2, "unequal": 1}),
        _small("slow_devices", 4, 3),
        _small("quorums", 4, 3),
    ),
    infeasible=_small("infeasible", 3, 4),
    reference="enumerate",
    provers=("exact", "enumerate"),
)
