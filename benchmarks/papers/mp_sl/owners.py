"""Fig. 9, 10 and 13a: the model against a simulation, and how slow owners matter."""

from __future__ import annotations

import numpy as np

from benchmarks.papers.mp_sl.settings import (
    BATCHES,
    LOCAL_EPOCHS,
    OWNER_BYTES_PER_S,
    owner_model_bytes,
    owner_parts,
    pipeline,
)
from benchmarks.papers.tables import Cell, Table
from splitopt import solve
from splitopt.latency.pipeline import Stages, aggregation_time
from splitopt.latency.split_nn import split_nn_time
from splitopt.problems.pipeline_partition.load import load_of
from splitopt.simulation.pipeline import run_pipeline
from splitopt.simulation.system import PipelineSystem

CUTS = {"resnet101": (2, 35), "vgg19": (2, 23)}
PAPER_ERROR = {"resnet101": 3.14, "vgg19": 3.86}


def system(model: str, nodes: int, machines: list[str]) -> PipelineSystem:
    """Return equal nodes with the optimal split of Eq. 3, and an owner on each machine."""
    question = pipeline(model, CUTS[model], [1.0] * nodes, len(machines))
    result = solve(question, "subset_dp")
    load = load_of(question, result.decision.chain)
    return PipelineSystem(
        Stages(load.forward_s, load.backward_s),
        owner_parts(model, CUTS[model], machines),
        np.full(len(machines), BATCHES * LOCAL_EPOCHS),
    )


def model_table() -> Table:
    """Return the error of Eq. 4 and of the corrected closed form against the simulation."""
    rows: list[list[Cell]] = []
    for model in CUTS:
        errors = []
        for nodes in (1, 2, 3):
            for owners in (10, 20, 30, 40, 50):
                case = system(model, nodes, ["d1"] * owners)
                truth = run_pipeline(case).makespan_s
                pair = [100 * (value / truth - 1) for value in (case.paper_s, case.closed_form_s)]
                errors.append(pair)
                if owners in (10, 50):
                    rows.append([f"{model}, N = {nodes}, K = {owners}", None, case.load, *pair])
        mean = np.abs(errors).mean(axis=0)
        rows.append([f"{model}, mean absolute", PAPER_ERROR[model], None, *map(float, mean)])
    head = ["setting", "paper: Eq. 4 to testbed", "load", "Eq. 4 to simulation", "closed form"]
    note = (
        "Fig. 9: error in % of the predicted time of all batches, owners d1 with links of "
        f"{OWNER_BYTES_PER_S / 1e6:g} MB/s (not printed in the paper). The paper compares with a "
        "testbed, here it is an event simulation, which has neither memory pressure nor noise."
    )
    return Table("figure-9", head, rows, note, 2)


def owners_table() -> Table:
    """Return how much slower an epoch is when all 300 owners are d2 instead of d1."""
    rows: list[list[Cell]] = []
    for model in CUTS:
        found: dict[str, list[float]] = {}
        for machine in ("d1", "d2"):
            machines = [machine] * 300
            alone = system(model, 1, machines)
            moved = owner_model_bytes(model, CUTS[model]) / OWNER_BYTES_PER_S
            found[machine] = [float(split_nn_time(alone.stages, alone.owners, BATCHES, moved))]
            found[machine] += [
                run_pipeline(system(model, nodes, machines)).makespan_s for nodes in (1, 2, 3)
            ]
        gains = [100 * (b / a - 1) for a, b in zip(found["d1"], found["d2"], strict=True)]
        rows.append([model, 30.0 if model == "resnet101" else None, *gains])
    head = ["model", "paper: SplitNN", "SplitNN", "MP-SL N = 1", "N = 2", "N = 3"]
    note = (
        "Fig. 13a: % that an epoch with 300 owners d2 takes longer than with 300 owners d1; for "
        "MP-SL by simulation. Layers that were not measured on d2 take their time on d1, scaled by "
        "the sums over the layers that both have."
    )
    return Table("figure-13a", head, rows, note, 2)


def aggregation_table() -> Table:
    """Return T_aggr of Eq. 5 as printed, beside the training of the epoch that it ends."""
    rows: list[list[Cell]] = []
    owners = 150
    for model, cuts in CUTS.items():
        part = owner_model_bytes(model, cuts)
        each = np.full(owners, part / OWNER_BYTES_PER_S)
        training = run_pipeline(system(model, 3, ["d1"] * owners)).makespan_s
        spent = float(aggregation_time(each, 0.0, each))
        rows.append([f"{model}, cuts {cuts}", part / 1e6, spent, training])
    head = ["setting", "parts of an owner, MB", "T_aggr, s", "training with N = 3, simulated, s"]
    note = (
        f"Eq. 5 for {owners} owners d1 with links of {OWNER_BYTES_PER_S / 1e6:g} MB/s (a choice): "
        "one average upload, and the average to one owner after the other, as section 4.2 has it."
    )
    return Table("aggregation", head, rows, note, 1)
