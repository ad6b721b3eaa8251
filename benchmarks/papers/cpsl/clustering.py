"""Fig. 8(b), the greedy trap, and the sweep over delta."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.papers.cpsl.cells import cell, costs_at, identical, population, published
from benchmarks.papers.cpsl.rounds import problem, rounds, spread
from benchmarks.papers.tables import Table
from splitopt import ClusterAndSpectrum, solve
from splitopt.problems.base import FloatArray
from splitopt.problems.cluster_and_spectrum.subcarriers import allocate_cluster, allocate_clusters
from splitopt.report.charts import svg_text
from splitopt.storage.writing import write_atomic

POPULATIONS = 20
ROUNDS = 100
SPECTRA = (10, 20, 30, 60)
SHORT = {"iterations": 4000, "chains": 1}
LONG = {"iterations": 60_000, "chains": 3}


def instance(seed: int, subcarriers: int) -> ClusterAndSpectrum:
    """Return a population at POOL1 with the published constants and the mended Eq. 20."""
    costs = costs_at("cpsl-lenet-paper", 1)
    size = published()["cluster_size"]
    return cell(costs, *population(seed), size=size, subcarriers=subcarriers)


def best_s(question: ClusterAndSpectrum, **options: int) -> float:
    """Seconds of the best round that annealing finds."""
    return solve(question, "anneal", **(options or LONG)).objective


@cache
def gains(subcarriers: int) -> FloatArray:
    """Compute the gains (rounds, 5) in %, see `figure_8`, on rounds that vary."""
    drawn = rounds(ROUNDS, POPULATIONS)
    return np.array(
        [
            _gains(problem(one, "cpsl-lenet-paper", 1, subcarriers), seed)
            for seed, one in enumerate(drawn)
        ]
    )


def figure_8() -> Table:
    """Compare clusters and rules over rounds, by spectrum."""
    rows: list[list[Any]] = [
        [f"{subcarriers} MHz", *(spread(column, 1) for column in gains(subcarriers).T)]
        for subcarriers in SPECTRA
    ]
    paper = published()["reductions_percent"]
    rows.append(["published", *map(str, paper.values()), None, None, None])
    head = (
        "spectrum",
        "against similar",
        "against random",
        "Alg. 4 against similar",
        "Alg. 4 against random",
        "Alg. 4 above the best",
    )
    return Table(
        "figure-8",
        head,
        rows,
        f"By how many % the round is shorter, mean (5th to 95th percentile) over {ROUNDS} rounds "
        f"of {POPULATIONS} populations that vary as in Fig. 7: the best clusters found against "
        "grouping by similar capability and against random clusters (subcarriers exact in all), "
        "Alg. 4 as printed against both with subcarriers by Alg. 3, and how far Alg. 4 is above "
        "the best.",
    )


def draw_figure_8(folder: Path) -> Path:
    """Draw the gains of the best clusters by spectrum beside the printed ones; return the file."""
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes, at = canvas.subplots(), np.arange(len(SPECTRA))
    paper = published()["reductions_percent"].values()
    names, colours = ("similar capability", "random clusters"), ("#4c78a8", "#e45756")
    for column, (name, colour, printed) in enumerate(zip(names, colours, paper, strict=True)):
        found = np.array([gains(subcarriers)[:, column] for subcarriers in SPECTRA])
        mean = found.mean(axis=1)
        ends = np.abs(np.percentile(found, (5, 95), axis=1) - mean)
        place = at + 0.38 * (column - 0.5)
        axes.bar(place, mean, 0.36, yerr=ends, color=colour, capsize=3, label=f"against {name}")
        axes.axhline(printed, color=colour, linestyle="--", linewidth=1)
        axes.annotate(f"paper, {name}", (at[-1] + 0.4, printed + 1), ha="right", fontsize=8)
    axes.set_xticks(at, [f"{subcarriers} MHz" for subcarriers in SPECTRA])
    axes.set_ylabel("round shorter by, %")
    axes.set_ylim(0, 90)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="center left", fontsize=8)
    path = folder / "figure-8.svg"
    write_atomic(path, svg_text(canvas))
    return path


def _gains(question: ClusterAndSpectrum, seed: int) -> list[float]:
    best = best_s(question)
    exact = [
        solve(question, rule, seed=seed).objective
        for rule in ("similar_compute", "random_clusters")
    ]
    greedy = [
        solve(question, rule, seed=seed, subcarriers="greedy").objective
        for rule in ("similar_compute", "random_clusters")
    ]
    printed = solve(question, "gibbs", seed=seed).objective
    return [
        *(100 * (1 - best / other) for other in exact),
        *(100 * (1 - printed / other) for other in greedy),
        100 * (printed / best - 1),
    ]


def greedy_table() -> Table:
    """Alg. 3 on identical devices, and on clusters of devices that differ."""
    rows: list[list[Any]] = []
    costs = costs_at("cpsl-lenet-paper", 1)
    same = cell(costs, *identical(5), size=5, subcarriers=30, gradient="literal")
    best, x = allocate_cluster(same, range(5))
    for rule in ("greedy", "tie_safe"):
        seconds, shares = allocate_cluster(same, range(5), rule)
        words = f"5 identical, C = 30: {_listed(shares)} for {_listed(x)}"
        rows.append([words, f"`{rule}`", 100 * (seconds / best - 1), 100 * (seconds / best - 1)])
    for subcarriers in (10, 30, 60):
        question = instance(0, subcarriers)
        rng = np.random.default_rng(0)
        clusters = [rng.choice(30, 5, replace=False) for _ in range(5000)]
        exact = allocate_clusters(question, clusters).seconds
        for rule in ("greedy", "tie_safe"):
            excess = 100 * (allocate_clusters(question, clusters, rule).seconds / exact - 1)
            words = f"5,000 random clusters of 5, C = {subcarriers}"
            rows.append([words, f"`{rule}`", excess.mean(), excess.max()])
    return Table(
        "greedy-trap",
        ("cluster", "rule", "above the optimum in %, mean", "largest"),
        rows,
        "Subcarriers by Alg. 3 as printed (`greedy`) and by raising all tied devices at once.",
    )


def delta_table() -> Table:
    """Gibbs sampling by delta: how far from the best, and how often there."""
    problems = [instance(seed, 30) for seed in range(5)]
    least = [best_s(question) for question in problems]
    rows: list[list[Any]] = []
    for delta in (1e-12, 1e-4, 1e-3, 1e-2, 1e-1):
        for iterations in (1000, 100_000):
            cells: list[float] = []
            for keep in ("last", "best"):
                above = np.array(
                    [
                        solve(
                            question,
                            "gibbs",
                            seed=seed,
                            iterations=iterations,
                            delta_s=delta,
                            evaluation="incremental",
                            keep=keep,
                            subcarriers="exact",
                        ).objective
                        / known
                        - 1
                        for question, known in zip(problems, least, strict=True)
                        for seed in range(4)
                    ]
                )
                cells += [100 * above.mean(), 100 * float((above < 1e-6).mean())]
            rows.append([f"{delta:g} s, {iterations:,} swaps", *cells])
    return Table(
        "delta",
        (
            "delta",
            "last state above the best, %",
            "reached, %",
            "best state above, %",
            "reached, %",
        ),
        rows,
        "Alg. 4 with exact subcarriers on 5 populations with 4 seeds each, C = 30: mean distance "
        "of the last and of the best visited state from the best that annealing finds, and in how "
        "many % of the runs they are it.",
    )


def _listed(values: Any) -> str:
    return "(" + ", ".join(str(int(value)) for value in values) + ")"
