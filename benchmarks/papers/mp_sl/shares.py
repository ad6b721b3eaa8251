"""Fig. 1, 3 and 8: memory of owners and nodes, and how long the optimal split takes to find."""

from __future__ import annotations

from time import perf_counter

from benchmarks.papers.mp_sl.machines import CUTS
from benchmarks.papers.mp_sl.settings import BATCH, pipeline, profile
from benchmarks.papers.tables import Cell, Table
from splitopt import solve
from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.profiles.counting.memory import FORMULAS, layer_memory_bytes

OWNERS = 100
PAPER_SAVED = 76.0
REPEATS = 3


def owner_table() -> Table:
    """Return what an owner keeps of the memory of the whole model, by formula."""
    rows: list[list[Cell]] = []
    for model, (first, last) in CUTS.items():
        for name, formula in FORMULAS.items():
            held = layer_memory_bytes(profile(model), BATCH, name)
            own = float(held[:first].sum() + held[last:].sum())
            whole = float(held.sum())
            cells = [whole / 1e9, own / 1e9, 100 * (1 - own / whole)]
            rows.append([f"{model}, cuts ({first}, {last}), `{name}`: {formula.words}", *cells])
    note = (
        f"Fig. 1: memory in GB of an owner that trains the whole model (FL) and of one that trains "
        f"its two parts, batches of {BATCH}. The paper measures the process on a Raspberry Pi 4, "
        f"libraries included, and has up to {PAPER_SAVED:.0f} % saved; its cuts are not printed."
    )
    return Table("figure-1", ["setting", "FL", "MP-SL", "saved, %"], rows, note, 2)


def largest_gb(model: str, nodes: int) -> float:
    """Compute the memory in GB of the node with most, with the optimal split of Eq. 3."""
    question = pipeline(model, CUTS[model], [1.0] * nodes, OWNERS)
    assignment = solve(question, "subset_dp").decision.assignment
    held = OWNERS * question.layer_memory_bytes
    return max(float(held[assignment == node].sum()) for node in range(nodes)) / 1e9


def node_table() -> Table:
    """Return the largest memory of a node by the number of nodes."""
    rows: list[list[Cell]] = [
        [f"{model}, cuts {CUTS[model]}", *(largest_gb(model, nodes) for nodes in (1, 2, 3, 4))]
        for model in CUTS
    ]
    note = (
        f"Fig. 3: memory in GB of the node that needs most, {OWNERS} owners, parameters and "
        "outputs as in the paper, optimal splits of Eq. 3 for equal nodes. The paper draws this "
        "without numbers."
    )
    return Table("figure-3", ["setting", *(f"N = {n}" for n in (1, 2, 3, 4))], rows, note, 1)


def _seconds(question: PipelinePartition, solver: str) -> tuple[float, float]:
    """Time the best of some solves; return its s and the proved optimum."""
    least, value = float("inf"), float("nan")
    for _ in range(REPEATS):
        begin = perf_counter()
        result = solve(question, solver)
        least, value = min(least, perf_counter() - begin), result.objective
    return least, value


def solver_table() -> Table:
    """Return how many times as long Gurobi takes for the same optimum, by size."""
    rows: list[list[Cell]] = []
    for model in CUTS:
        first, last = CUTS[model]
        for nodes in (2, 3, 4, 5):
            question = pipeline(model, CUTS[model], [1.0 + n / 10 for n in range(nodes)])
            (ours, best), (theirs, found) = (_seconds(question, s) for s in ("subset_dp", "gurobi"))
            size = f"{model}, S = {last - first}, N = {nodes}"
            rows.append([size, 1000 * ours, theirs / ours, 100 * (found / best - 1)])
    head = [
        "size",
        "`subset_dp`, ms",
        "Gurobi takes times as long",
        "its value above the optimum, %",
    ]
    note = (
        "Fig. 8: the time of Eq. 3's optimal split, unequal nodes, one thread, best of "
        f"{REPEATS}: the exact search here and Gurobi on the linear program, in one run."
    )
    return Table("figure-8", head, rows, note, 2)
