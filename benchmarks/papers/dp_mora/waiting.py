"""Tables 2 and 3: how long each device waits."""

from __future__ import annotations

import numpy as np

from benchmarks.papers.dp_mora.published import MODELS, published, table
from benchmarks.papers.dp_mora.schemes import (
    OURS,
    Planned,
    parallel,
    problem_at,
    recovered_cuts,
    replayed,
    sequential,
)
from benchmarks.papers.tables import Cell, Table
from splitopt import CutAndResources
from splitopt.problems.base import FloatArray

APPROACHES = ("SF1AF", "DP-MORA", "SF2AF", "SF3AF", "FSAF", "FAAF")


def replayed_waits(model: str, setting: dict[str, float] | None = None) -> dict[str, FloatArray]:
    """Return the waits (N,) in s of the paper's approaches with the recovered cuts.

    Those of the sequential approaches are the times until a device's turn, which is what the
    tables print for them.
    """
    problem = problem_at(model, setting)
    cuts = recovered_cuts(model, problem.devices)
    one_by_one = sequential(problem, cuts)
    waits = {name: plan.waits for name, plan in parallel(problem, cuts).items()}
    waits |= {name: found.wait_for_turn for name, found in one_by_one.items()}
    waits["DP-MORA"] = replayed(problem, cuts).waits
    return {name: waits[name] for name in APPROACHES}


def waiting_table(model: str, problem: CutAndResources, plans: dict[str, Planned]) -> Table:
    """Set the printed waits beside the replayed ones and those of our plans, in 1000 s."""
    printed, ours = table(model), replayed_waits(model)
    place = published()["waits"][model]["place"]
    head = ["device"]
    for name in APPROACHES:
        head += [f"{name} paper", f"{name} replay"]
    head += OURS
    rows: list[list[Cell]] = []
    for n in range(problem.devices):
        row: list[Cell] = [f"I{n}"]
        for name in APPROACHES:
            row += [printed[name][n] / 1000, ours[name][n] / 1000]
        rows.append(row + [float(plans[name].waits[n]) / 1000 for name in OURS])
    largest: list[Cell] = ["largest difference"]
    for name in APPROACHES:
        largest += [None, float(np.abs(printed[name] - ours[name]).max()) / 1000]
    rows.append(largest + [None] * len(OURS))
    note = (
        f"{place} ({MODELS[model]}), waiting latency in 1000 s. *replay*: the latency model with "
        "the recovered settings and cuts; DP-MORA's shares are the best for its cuts. For the "
        "sequential SF1AF and SF2AF the paper prints when a device's turn comes. The last columns "
        "are waits for the slowest device under our own plans."
    )
    return Table(place.lower().replace(" ", "-"), head, rows, note)
