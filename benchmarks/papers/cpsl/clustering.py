"""Fig. 7 and 8, the greedy trap, and the sweep over delta."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from benchmarks.papers.cpsl.cells import cell, costs_at, identical, population, published
from benchmarks.papers.tables import Table
from splitopt import ClusterAndSpectrum, load_profile, solve
from splitopt.problems.cluster_and_spectrum.subcarriers import allocate_cluster, allocate_clusters

POPULATIONS = 20
CUT_POPULATIONS = 8
SPECTRA = (10, 20, 30, 60)
SHORT = {"iterations": 4000, "chains": 1}
LONG = {"iterations": 60_000, "chains": 3}


def instance(seed: int, subcarriers: int) -> ClusterAndSpectrum:
    """Give a population at POOL1 with the published constants and the mended Eq. 20."""
    costs = costs_at("cpsl-lenet-paper", 1)
    size = published()["cluster_size"]
    return cell(costs, *population(seed), size=size, subcarriers=subcarriers)


def best_s(problem: ClusterAndSpectrum, **options: int) -> float:
    """Seconds of the best round that annealing finds."""
    return solve(problem, "anneal", **(options or LONG)).objective


def figure_7() -> Table:
    """Count which cut is best, by spectrum and table of the network."""
    rows: list[list[Any]] = []
    for profile in ("cpsl-lenet-valid", "cpsl-lenet-same"):
        layers = load_profile(profile).layers
        for subcarriers in (10, 30, 60):
            rounds = np.array(
                [
                    [
                        best_s(
                            cell(
                                costs_at(profile, cut),
                                *population(seed),
                                size=published()["cluster_size"],
                                subcarriers=subcarriers,
                            ),
                            **SHORT,
                        )
                        for cut in range(1, len(layers) + 1)
                    ]
                    for seed in range(CUT_POPULATIONS)
                ]
            )
            mean = rounds.mean(axis=0)
            wins = Counter(layers[cut] for cut in rounds.argmin(axis=1))
            named = ", ".join(f"{layer} {count}" for layer, count in wins.most_common())
            at = {name: mean[layers.index(name)] for name in ("CONV1", "POOL1", "POOL2")}
            rows.append([f"`{profile}`, C = {subcarriers}", *at.values(), mean.min(), named])
    return Table(
        "figure-7",
        ("network", "CONV1", "POOL1", "POOL2", "best cut's mean", "best in how many populations"),
        rows,
        f"Mean seconds of a round over {CUT_POPULATIONS} populations, clusters by annealing; the "
        "paper has POOL1 as the best cut.",
    )


def figure_8() -> Table:
    """Compare clusters and rules over populations, by spectrum."""
    rows: list[list[Any]] = []
    for subcarriers in SPECTRA:
        gains = np.array([_gains(instance(seed, subcarriers), seed) for seed in range(POPULATIONS)])
        mean = gains.mean(axis=0)
        rows.append([f"{subcarriers} MHz", *mean, *gains.max(axis=0)[:2]])
    paper = published()["reductions_percent"]
    rows.append(["published", *paper.values(), None, None, None, None, None])
    head = (
        "spectrum",
        "against similar",
        "against random",
        "Alg. 4 against similar",
        "Alg. 4 against random",
        "Alg. 4 above the best",
        "similar, at most",
        "random, at most",
    )
    return Table(
        "figure-8",
        head,
        rows,
        f"By how many % the round is shorter, means over {POPULATIONS} populations: the best "
        "clusters found against grouping by similar capability and against random clusters "
        "(subcarriers exact in all), Alg. 4 as printed against both with subcarriers by Alg. 3, "
        "and how far Alg. 4 is above the best; the last two columns are the largest gains of the "
        "first two.",
        digits=1,
    )


def _gains(problem: ClusterAndSpectrum, seed: int) -> list[float]:
    best = best_s(problem)
    exact = [
        solve(problem, rule, seed=seed).objective for rule in ("similar_compute", "random_clusters")
    ]
    greedy = [
        solve(problem, rule, seed=seed, subcarriers="greedy").objective
        for rule in ("similar_compute", "random_clusters")
    ]
    printed = solve(problem, "gibbs", seed=seed).objective
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
        problem = instance(0, subcarriers)
        rng = np.random.default_rng(0)
        clusters = [rng.choice(30, 5, replace=False) for _ in range(5000)]
        exact = allocate_clusters(problem, clusters).seconds
        for rule in ("greedy", "tie_safe"):
            excess = 100 * (allocate_clusters(problem, clusters, rule).seconds / exact - 1)
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
    least = [best_s(problem) for problem in problems]
    rows: list[list[Any]] = []
    for delta in (1e-12, 1e-4, 1e-3, 1e-2, 1e-1):
        for iterations in (1000, 100_000):
            cells: list[float] = []
            for keep in ("last", "best"):
                above = np.array(
                    [
                        solve(
                            problem,
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
                        for problem, known in zip(problems, least, strict=True)
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
