"""Fig. 8(a): how Gibbs sampling converges, by delta."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.papers.cpsl.clustering import best_s, instance
from benchmarks.papers.tables import Table
from splitopt import solve
from splitopt.problems.base import FloatArray
from splitopt.report.charts import svg_text
from splitopt.storage.writing import write_atomic

DELTAS = (1e-4, 1e-3, 1e-2)
SWAPS = (1, 10, 30, 100, 200, 300, 500, 1000, 2000, 5000, 20_000)
PROBLEMS, SEEDS = 5, 4


@cache
def above(delta: float) -> FloatArray:
    """Compute how far the current state is above the best known (runs, swaps), in %.

    A run of n swaps is the beginning of a longer one with the same seed.
    """
    problems = [instance(seed, 30) for seed in range(PROBLEMS)]
    least = [best_s(problem) for problem in problems]
    return np.array(
        [
            [100 * (_state_s(problem, seed, delta, swaps) / known - 1) for swaps in SWAPS]
            for problem, known in zip(problems, least, strict=True)
            for seed in range(SEEDS)
        ]
    )


def _state_s(problem: Any, seed: int, delta: float, swaps: int) -> float:
    found = solve(
        problem,
        "gibbs",
        seed=seed,
        iterations=swaps,
        delta_s=delta,
        evaluation="incremental",
        subcarriers="exact",
    )
    return found.objective


def figure_8a() -> Table:
    """Return the mean distance of the current state from the best, by swaps and delta."""
    rows: list[list[Any]] = [
        [f"{swaps:,}", *(float(above(delta)[:, at].mean()) for delta in DELTAS)]
        for at, swaps in enumerate(SWAPS)
    ]
    return Table(
        "figure-8a",
        ("swaps", *(f"delta {delta:g} s" for delta in DELTAS)),
        rows,
        f"Fig. 8(a): the current state of Alg. 4 with exact subcarriers above the best that "
        f"annealing finds, in %, mean over {PROBLEMS} populations with {SEEDS} seeds each, C = 30.",
    )


def draw_figure_8a(folder: Path) -> Path:
    """Draw the same as curves between the 5th and 95th percentile; return the file."""
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = canvas.subplots()
    for delta, colour in zip(DELTAS, ("#4c78a8", "#e45756", "#54a24b"), strict=True):
        found = above(delta)
        axes.plot(
            SWAPS,
            found.mean(axis=0),
            color=colour,
            marker="o",
            markersize=3,
            label=f"delta {delta:g} s",
        )
        axes.fill_between(SWAPS, *np.percentile(found, (5, 95), axis=0), color=colour, alpha=0.15)
    axes.set_xscale("log")
    axes.set_xlabel("swaps")
    axes.set_ylabel("current state above the best, %")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#d9dee5", linewidth=0.6)
    path = folder / "figure-8a.svg"
    write_atomic(path, svg_text(canvas))
    return path
