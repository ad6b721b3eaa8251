"""Fig. 10 and 13b: owners on mixed machines and on mixed networks."""

from __future__ import annotations

import numpy as np

from benchmarks.papers.mp_sl.owners import CUTS
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
from splitopt.latency.pipeline import OwnerParts, Stages
from splitopt.latency.split_nn import split_nn_time
from splitopt.problems.pipeline_partition.load import load_of
from splitopt.simulation.pipeline import run_pipeline
from splitopt.simulation.system import PipelineSystem

SLOWER, SLOW = 8, 0.7
TRANSFERS = ("to_first_s", "from_first_s", "to_last_s", "from_last_s")
PAPER_SPLIT_NN = {"resnet101": 12.0, "vgg19": 56.0}


def _system(model: str, nodes: int, owners: OwnerParts, count: int) -> PipelineSystem:
    """Build equal nodes with the optimal split of Eq. 3 for these owners."""
    question = pipeline(model, CUTS[model], [1.0] * nodes, count)
    load = load_of(question, solve(question, "subset_dp").decision.chain)
    batches = np.full(count, BATCHES * LOCAL_EPOCHS)
    return PipelineSystem(Stages(load.forward_s, load.backward_s), owners, batches)


def machines_table() -> Table:
    """Return the epoch of 30 owners of whom some are slow, by simulation and closed form."""
    rows: list[list[Cell]] = []
    for nodes in (2, 3):
        for slow in (0, 6, 15, 24, 30):
            owners = owner_parts(
                "resnet101", CUTS["resnet101"], ["d2"] * slow + ["d1"] * (30 - slow)
            )
            case = _system("resnet101", nodes, owners, 30)
            truth = run_pipeline(case).makespan_s
            errors = [100 * (value / truth - 1) for value in (case.paper_s, case.closed_form_s)]
            rows.append([f"N = {nodes}, ({30 - slow}, {slow})", truth, *errors])
    head = ["nodes, owners (d1, d2)", "simulated, s", "Eq. 4, % off", "closed form, % off"]
    note = (
        "Fig. 10: an epoch of ResNet-101 with 30 owners, of whom some are d2. The paper finds "
        "0.062 s (two nodes) and 0.08 s (three) between all d1 and all d2."
    )
    return Table("figure-10", head, rows, note, 2)


def slow_network(model: str, slow: int, count: int) -> tuple[OwnerParts, np.ndarray]:
    """Compute owners d1 of whom `slow` have links 8 times slower, and their seconds per byte."""
    parts = owner_parts(model, CUTS[model], ["d1"] * count)
    factor = np.where(np.arange(count) < slow, float(SLOWER), 1.0)
    moved = {name: factor * getattr(parts, name) for name in TRANSFERS}
    return parts._replace(**moved), factor / OWNER_BYTES_PER_S


def rate_for(model: str) -> float:
    """Compute the links' rate in byte/s at which SplitNN loses what the paper prints.

    With c s of computing and m bytes in an epoch and a fraction q of slow owners, a rate r makes it
    longer by g = q (8 - 1) (m / r) / (c + m / r).
    """
    owners, per_byte = slow_network(model, 0, 1)
    alone = _system(model, 1, owners, 1)
    moved = owner_model_bytes(model, CUTS[model]) * per_byte
    whole = float(split_nn_time(alone.stages, owners, BATCHES, moved))
    sent = float(BATCHES * owners.transfer_s.sum() + moved.sum())
    gain, most = PAPER_SPLIT_NN[model] / 100, SLOW * (SLOWER - 1)
    return OWNER_BYTES_PER_S * sent * (most - gain) / (gain * (whole - sent))


def network_table() -> Table:
    """Return how much longer an epoch is when 70 % of 300 owners have slow links."""
    rows: list[list[Cell]] = []
    for model in CUTS:
        found = []
        for slow in (0, round(300 * SLOW)):
            owners, per_byte = slow_network(model, slow, 300)
            alone = _system(model, 1, owners, 300)
            moved = owner_model_bytes(model, CUTS[model]) * per_byte
            times = [float(split_nn_time(alone.stages, owners, BATCHES, moved))]
            times += [
                run_pipeline(_system(model, nodes, owners, 300)).makespan_s for nodes in (1, 2, 3)
            ]
            found.append(times)
        gains = [100 * (b / a - 1) for a, b in zip(*found, strict=True)]
        rows.append([model, PAPER_SPLIT_NN[model], *gains, rate_for(model) / 1e6])
    head = ["model", "paper: SplitNN", "SplitNN", "MP-SL N = 1", "N = 2", "N = 3"]
    head.append("the paper's at, MB/s")
    note = (
        f"Fig. 13b: % that an epoch with 300 owners takes longer when 70 % of them have links "
        f"{SLOWER} times slower than {OWNER_BYTES_PER_S / 1e6:g} MB/s (a choice: the paper prints "
        "no rate); for MP-SL by simulation, the paper has no change, and up to 6 % for one node."
    )
    return Table("figure-13b", head, rows, note, 2)
