"""Fig. 1(b), what a cut saves of traffic and work, and Fig. 7, the round by cut."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.papers.cpsl.cells import published
from benchmarks.papers.cpsl.clustering import SHORT, best_s
from benchmarks.papers.cpsl.rounds import problem, rounds, spread
from benchmarks.papers.tables import Table
from splitopt import load_profile
from splitopt.problems.base import FloatArray
from splitopt.report.charts import svg_text
from splitopt.storage.writing import write_atomic

NETWORKS = ("cpsl-lenet-valid", "cpsl-lenet-same")
RUNS = {10: 60, 30: 300, 60: 60}
"""Spectrum in MHz -> rounds; the paper's 30 MHz has its 300 runs."""
POPULATIONS = 30


def figure_1() -> Table:
    """Compute traffic and work of a device's mini-batch by cut, beside those of FL."""
    paper, batch = published()["figure_1"], published()["batch_size"]
    rows: list[list[Any]] = [
        ["published, FL", paper["whole_mb"], paper["whole_mflop"], None, None],
        [
            "published, POOL1",
            paper["pool1_mb"],
            paper["pool1_mflop"],
            100 * (1 - paper["pool1_mb"] / paper["whole_mb"]),
            100 * (1 - paper["pool1_mflop"] / paper["whole_mflop"]),
        ],
    ]
    for name in NETWORKS:
        table = load_profile(name)
        model, work = table.device_model_bytes, table.device_forward_flop / 2e6
        sent = (model + batch * table.smashed_bytes) / 2**20
        rows.append([f"`{name}`, FL", model[-1] / 2**20, work[-1], None, None])
        for layer in ("CONV1", "POOL1", "POOL2", "POOL3"):
            at = table.layers.index(layer)
            saved = 100 * (1 - sent[at] * 2**20 / model[-1])
            rows.append(
                [f"`{name}`, {layer}", sent[at], work[at], saved, 100 * (1 - work[at] / work[-1])]
            )
    return Table(
        "figure-1",
        ("network, cut", "MiB sent", "M multiply-adds", "traffic saved, %", "work saved, %"),
        rows,
        "What a device sends in a round with one mini-batch of 16 (its part of the model and the "
        "smashed data) and computes for a sample (forward). FL sends the whole model.",
    )


@cache
def seconds(network: str, subcarriers: int) -> FloatArray:
    """Compute the rounds (runs, L) in s at every cut, clusters by annealing."""
    cuts = range(1, len(load_profile(network).layers) + 1)
    drawn = rounds(RUNS[subcarriers], POPULATIONS)
    return np.array(
        [
            [best_s(problem(one, network, cut, subcarriers), **SHORT) for cut in cuts]
            for one in drawn
        ]
    )


def figure_7() -> Table:
    """Return the rounds by cut, with their spread, and which cut is best on average."""
    rows: list[list[Any]] = []
    for network in NETWORKS:
        layers = load_profile(network).layers
        for subcarriers, runs in RUNS.items():
            found = seconds(network, subcarriers)
            best = layers[found.mean(axis=0).argmin()]
            wins = Counter(layers[cut] for cut in found.argmin(axis=1))
            named = ", ".join(f"{name} {100 * n / runs:.0f}" for name, n in wins.most_common())
            at = [spread(found[:, layers.index(name)]) for name in ("CONV1", "POOL1", "POOL2")]
            rows.append([f"`{network}`, C = {subcarriers}", str(runs), *at, best, named])
    return Table(
        "figure-7",
        ("network", "rounds", "CONV1", "POOL1", "POOL2", "best on average", "best in % of rounds"),
        rows,
        f"Seconds of a round, mean (5th to 95th percentile) over rounds of {POPULATIONS} "
        "populations whose speeds and signals vary as section VIII-C states; speeds below "
        f"{published()['compute_floor'] / 1e9:g} GHz are drawn anew. Clusters by annealing. The "
        "paper has POOL1 as the best cut at C = 30.",
    )


def draw_figure_7(folder: Path) -> Path:
    """Draw the rounds by cut at 30 MHz, bars to the 5th and 95th percentile; return the file."""
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(9.6, 3.8), layout="constrained")
    for axes, network in zip(canvas.subplots(1, 2, sharey=True), NETWORKS, strict=True):
        found, layers = seconds(network, 30), load_profile(network).layers
        mean = found.mean(axis=0)
        ends = np.abs(np.percentile(found, (5, 95), axis=0) - mean)
        axes.bar(layers, mean, yerr=ends, color="#4c78a8", capsize=3, ecolor="#333")
        axes.set_title(network, loc="left", fontsize=10.5)
        axes.tick_params(axis="x", rotation=60)
        axes.spines[["top", "right"]].set_visible(False)
    canvas.axes[0].set_ylabel("round in s")
    path = folder / "figure-7.svg"
    write_atomic(path, svg_text(canvas))
    return path
