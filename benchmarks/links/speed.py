"""CPU seconds of `subset_dp` with links: few kinds of nodes, and nodes that all differ."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import numpy as np

from splitopt import solve
from splitopt.problems.pipeline_partition import PipelinePartition

LAYERS = (37, 100, 500, 1000)
CASES = (
    ("uniform", 10, 3),
    ("pairwise", 10, 3),
    ("nic", 10, 3),
    ("serial", 10, 3),
    ("pairwise", 8, 8),
    ("uniform", 10, 10),
    ("pairwise", 10, 10),
    ("nic", 10, 10),
    ("serial", 10, 10),
    ("pairwise", 30, 3),
)
SEEDS, REPEATS = 5, 3
NOTE = (
    "CPU seconds of `solve` to the proof, one thread, warm: median of "
    f"{REPEATS} runs on each of {SEEDS} seeds. "
    "Lognormal layers and cuts, memory enough, every node used, rates drawn so that transfers and "
    "computing weigh about the same (`python -m benchmarks.links`):"
)


def draw(
    model: str, nodes: int, kinds: int, layers: int, seed: int, objective: str = "period"
) -> PipelinePartition:
    """Draw a pipeline whose nodes are of so many kinds."""
    rng = np.random.default_rng(seed)
    kind = np.arange(nodes) % kinds
    speed, work = rng.uniform(0.5, 4, kinds), rng.lognormal(0, 0.7, layers)
    forward = (work / speed[:, None])[kind]
    cuts = rng.lognormal(0, 1, layers + 1)
    scale = 6 * 2 * nodes / (3 * work.sum())
    links = {"model": model}
    if model == "uniform":
        links["bandwidth_bytes_per_s"] = scale
    elif model == "pairwise":
        rates = 2 * scale * rng.lognormal(0, 1, (kinds, kinds))
        rates = (rates + rates.T) / 2 if kinds < nodes else rates
        links["bandwidth_bytes_per_s"] = rates[np.ix_(kind, kind)]
    else:
        links["bandwidth_bytes_per_s"] = 2 * scale * rng.lognormal(0, 1, kinds)[kind]
    return PipelinePartition(
        forward,
        2 * forward,
        np.ones(layers),
        np.full(nodes, float(layers)),
        1,
        objective,
        cuts,
        cuts,
        links,
        batches=1000,
    )


def seconds(model: str, nodes: int, kinds: int, layers: int, objective: str) -> float:
    """Measure one case."""
    solve(draw(model, nodes, kinds, layers, SEEDS, objective))  # compiles, or loads
    medians = []
    for seed in range(SEEDS):
        problem = draw(model, nodes, kinds, layers, seed, objective)
        runs = []
        for _ in range(REPEATS):
            begin = time.process_time()
            result = solve(problem)
            runs.append(time.process_time() - begin)
            if result.outcome != "optimal":
                raise SystemExit(f"no proof: {result.message}")
        medians.append(statistics.median(runs))
    return statistics.median(medians)


def table(layers: Sequence[int] = LAYERS) -> list[list[str]]:
    """Measure a row per case and objective, a column per number of layers."""
    solve(draw("uniform", 10, 10, 200, 0))  # spends the patience with loops in Python
    rows = [["links", "nodes", "kinds", "objective", *(f"S = {count:,}" for count in layers)]]
    for model, nodes, kinds in CASES:
        for objective in ("period", "epoch"):
            found = [seconds(model, nodes, kinds, count, objective) for count in layers]
            row = [model, str(nodes), str(kinds), f"`{objective}`"]
            rows.append([*row, *(f"{value:.4f}" for value in found)])
            print("  ".join(rows[-1]), flush=True)
    return rows
