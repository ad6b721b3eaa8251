"""The published round times of CPSL, SL and FL, under readings of Eq. 14-25."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from benchmarks.papers.cpsl.cells import cell, costs_at, identical, published
from benchmarks.papers.tables import Table
from splitopt.latency.clustered import CutCosts

KILOBYTE = 1000.0
POOL1, WHOLE = 1, 2
SIZES = (1, 2, 3, 5, 6, 10, 15, 30)


class Reading(NamedTuple):
    """One way to read the equations and constants."""

    words: str
    costs: CutCosts
    options: dict[str, Any]


def readings() -> list[Reading]:
    """List the readings; the published constants stand once in the text and once in Table II."""
    text = costs_at("cpsl-lenet-paper", POOL1)
    small = text._replace(smashed_bytes=18 * KILOBYTE, gradient_bytes=9 * KILOBYTE)
    full: dict[str, Any] = {"gradient": "literal", "full_band": True}
    fading = full | {"fading": "rayleigh"}
    return [
        Reading(
            "Eq. 14-25 as printed, Table II, KB = 1000 B",
            costs_at("cpsl-lenet-table2", POOL1),
            {"gradient": "literal"},
        ),
        Reading("model over the full band, gradient 9 KiB, KiB", text, full),
        Reading("the same with Rayleigh fading", text, fading),
        Reading("the same with KB = 1000 B", small, fading),
        Reading("as printed, with the factor B in Eq. 20", text, {"gradient": "corrected"}),
    ]


def round_s(reading: Reading, size: int) -> float:
    """Seconds of a round of the identical devices in clusters of a size; 1 is vanilla SL."""
    paper = published()
    problem = cell(
        reading.costs,
        *identical(paper["devices"]),
        size=size,
        subcarriers=paper["subcarriers"],
        **reading.options,
    )
    order = np.arange(paper["devices"]).reshape(-1, size)
    return problem.evaluate(problem.complete(list(order)))


def federated_s(reading: Reading) -> float:
    """Seconds of a round of FL: everything on the devices, all at once, a subcarrier for each."""
    options = {key: value for key, value in reading.options.items() if key != "full_band"}
    whole = Reading("", costs_at("cpsl-lenet-paper", WHOLE), options)
    return round_s(whole, published()["devices"])


def headline_table() -> Table:
    """Set our rounds beside the published ones."""
    paper = published()["round_s"]
    rows: list[list[Any]] = [["published", paper["cpsl"], paper["sl"], paper["fl"], None]]
    for reading in readings():
        ours = round_s(reading, published()["cluster_size"]), round_s(reading, 1)
        found = (*ours, federated_s(reading))
        off = max(abs(a / b - 1) for a, b in zip(found, paper.values(), strict=True))
        rows.append([reading.words, *found, 100 * off])
    return Table(
        "headline",
        ("reading", "CPSL", "SL", "FL", "furthest off in %"),
        rows,
        "Seconds of a round, 30 identical devices in clusters of 5, 30 subcarriers of 1 MHz, "
        "17 dB.",
        digits=3,
    )


def cluster_size_table() -> Table:
    """Fig. 6: the round by cluster size, and how many more rounds each size may take."""
    literal, full = readings()[0], readings()[1]
    reference = round_s(full, published()["cluster_size"])
    rows = []
    for size in SIZES:
        ours = round_s(full, size)
        rows.append([str(size), round_s(literal, size), ours, reference / ours])
    return Table(
        "figure-6",
        ("devices in a cluster", "as printed", "full band", "rounds for one of size 5"),
        rows,
        "Seconds of a round. The last column: with 5 devices in a cluster training may take as "
        "many rounds for one round of this size before it is slower (full band).",
        digits=3,
    )
