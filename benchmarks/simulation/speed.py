"""How long the simulator takes."""

from __future__ import annotations

import statistics
import time

import numpy as np

from splitopt.latency.pipeline import Hops, OwnerParts, Stages
from splitopt.simulation.pipeline import run_pipeline
from splitopt.simulation.system import PipelineSystem

SIZES = ((10, 3), (100, 5), (300, 5), (1000, 10))
REPEATS = 5


def system_of(owners: int, nodes: int) -> PipelineSystem:
    """Return a pipeline with links whose owners have 32 batches each."""
    rng = np.random.default_rng(0)
    stages, hops = (
        Stages(*rng.uniform(0.1, 0.6, (2, nodes))),
        Hops(*rng.uniform(0, 0.1, (2, nodes - 1))),
    )
    parts = OwnerParts(*rng.uniform(1.0, 30.0, (7, owners)))
    return PipelineSystem(stages, parts, np.full(owners, 32), hops)


def table() -> list[list[str]]:
    """Return the head and a row per size: tasks, and the median time of both loops, warm."""
    rows = [["owners", "nodes", "tasks", "plain loop, s", "compiled loop, s"]]
    for owners, nodes in SIZES:
        system = system_of(owners, nodes)
        tasks, times = len(run_pipeline(system, compiled=True)), []
        for compiled in (False, True):
            taken = []
            for _ in range(REPEATS if compiled else 1):
                start = time.perf_counter()
                run_pipeline(system, compiled=compiled)
                taken.append(time.perf_counter() - start)
            times.append(f"{statistics.median(taken):.3f}")
        rows.append([str(owners), str(nodes), f"{tasks:,}", *times])
    return rows
