"""How far the models of a pipeline are from its simulation, by load."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from splitopt.latency.pipeline import Hops, OwnerParts, Stages
from splitopt.simulation.pipeline import run_pipeline
from splitopt.simulation.system import PipelineSystem

EDGES = (0.0, 0.25, 0.5, 0.8, 1.0, 1.2, 2.0, np.inf)
MODELS = ("MP-SL Eq. 4", "closed form, nodes alone", "closed form")


class Point(NamedTuple):
    """One system: its load, and the signed relative errors of `MODELS`."""

    load: float
    errors: tuple[float, ...]


def draw(rng: np.random.Generator, harsh: bool) -> PipelineSystem:
    """Draw a system of 1 to 5 nodes and 2 to 60 owners.

    If `harsh`, owners differ in speed up to 2.5 times and links between nodes bind at times; else
    owners are alike and links take up to a twentieth of the busiest node's time.
    The owners' own parts are scaled so that the load is about log-uniform from 0.1 to 4.
    """
    nodes, owners = int(rng.integers(1, 6)), round(2 * 30 ** rng.random())
    forward = rng.uniform(0.2, 1.0, nodes)
    stages = Stages(forward, forward * rng.uniform(1.0, 3.0, nodes))
    per_batch = float((stages.forward_s + stages.backward_s).max())
    hops = Hops(
        *(
            per_batch
            * rng.uniform(0.0, 2.5 if harsh else 0.05)
            * rng.uniform(0.2, 1.0, (2, nodes - 1))
        )
    )
    speed = rng.uniform(
        1.0, 2.5 if harsh else 1.0, owners
    )  # a Raspberry Pi 3 is 2.3 times slower than a Pi 4
    parts = rng.uniform(0.5, 1.5, 7)[:, None] * speed
    batches = np.full(owners, 32)
    free = PipelineSystem(stages, OwnerParts(*np.zeros((7, owners))), batches, hops)
    wanted = owners * free.period_s / (0.1 * 40 ** rng.random())
    scale = max(0.0, wanted - float(free.trips_s[0])) / parts.sum(axis=0).mean()
    return PipelineSystem(stages, OwnerParts(*(scale * parts)), batches, hops)


def measure(harsh: bool, systems: int = 250, seed: int = 0) -> list[Point]:
    """Simulate random systems and compare."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(systems):
        system = draw(rng, harsh)
        simulated = run_pipeline(system, compiled=True).makespan_s
        models = (system.paper_s, system.nodes_only_s, system.closed_form_s)
        errors = tuple(float(model / simulated - 1) for model in models)
        found.append(Point(system.load, errors))
    return found


def table(points: list[Point]) -> list[list[str]]:
    """Return the head and a row per class of load: count, mean and largest absolute error."""
    rows = [["load", "systems", *(f"{name}: mean, max" for name in MODELS)]]
    for low, high in pairwise(EDGES):
        inside = [point for point in points if low <= point.load < high]
        label = f"> {low:g}" if high == np.inf else f"{low:g} - {high:g}"
        cells = []
        for index in range(len(MODELS)):
            sizes = [abs(point.errors[index]) for point in inside]
            cells.append(f"{np.mean(sizes):.1%}, {max(sizes):.1%}" if sizes else "-")
        rows.append([label, str(len(inside)), *cells])
    return rows
