"""``python -m benchmarks.graphs [--workloads FOLDER] [FOLDER]``: layer graphs, proved and timed.

Without ``--workloads`` the shipped files of dnn-partitioning are solved; with it all that the
folder ``throughput-inputs`` of a clone holds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.graphs.checking import TooManyIdealsError, device_loads, faults, naive_optimum
from benchmarks.papers.tables import Table
from benchmarks.tables import output_folder
from splitopt import GraphPartition, solve
from splitopt.bench.instances.families import graph_partition as families
from splitopt.bench.instances.library.graph_partition import WORKLOADS
from splitopt.latency.graph_pipeline import run
from splitopt.problems.graph_partition.stations import stations_of
from splitopt.results import Result
from splitopt.solvers.graph_partition.ideals import load_loops

RESULTS = Path(__file__).parent / "results"
LIMIT_S = 60.0
RUNS = 3
MOST_IDEALS = 250
"""A proof is found again by the naive program where a graph has no more ideals than this."""
PUBLISHED = {
    "bert24_inference": 17.7899,
    "bert24_training": 41.7458,
    "resnet50_inference": 33.7747,
    "resnet50_training": 78.6318,
    "gnmt_inference": 32.9107,
    "gnmt_training": 107.004,
    "bert_l-3_inference": 27.9186,
    "bert_l-3_training": 65.3031,
    "bert_l-6_inference": 29.580,
}
"""Optima that the program of dnn-partitioning gives for its own files, in their unit of time.

ResNet-50 names a graph of layers and one of operators there; these are of the layers.
"""
ROUND_FAMILIES = ("branches", "residual", "training", "together", "rounds")
ROUND_GRAPHS = 12
GROWING = (("branches", 50), ("branches", 200), ("towers", 60), ("towers", 100), ("towers", 200))


def main(arguments: Sequence[str]) -> int:
    """Write all tables into a folder, `RESULTS` by default."""
    rest, workloads = list(arguments), WORKLOADS
    if "--workloads" in rest:
        place = rest.index("--workloads")
        if place + 1 == len(rest):
            print("--workloads needs a folder of workload files", file=sys.stderr)
            return 2
        workloads = Path(rest[place + 1])
        del rest[place : place + 2]
    if (folder := output_folder(rest, "benchmarks.graphs", RESULTS)) is None:
        return 2
    files = sorted(workloads.rglob("*.json"))
    if not files:
        print(f"{workloads}: holds no workload files", file=sys.stderr)
        return 2
    load_loops()
    for table in (public_table(files), growing_table(), programs_table(), rounds_table()):
        table.save(folder)
        print(table.markdown(), flush=True)
    return 0


def public_table(files: Sequence[Path]) -> Table:
    """Solve public workloads with their CPU and without, and check every plan against its file."""
    rows = [_public_row(path) for path in files]
    head = (
        "workload",
        "published",
        "optimum",
        "proof",
        "without CPU",
        "ideals",
        "pairs",
        "reading, CPU s",
        "solving, CPU s",
        "found again",
    )
    note = (
        "Largest load in the unit of the files, 'published' by the program of dnn-partitioning. "
        f"CPU seconds of one thread on two shared cores, the least of {RUNS} runs, compiled code "
        "loaded. Every plan is priced and checked against its file by `checking.py`, which also "
        f"finds the optimum again where a graph has at most {MOST_IDEALS} ideals."
    )
    return Table("public", head, rows, note, text=(0, 1, 2, 3, 4, 5, 6, 7, 8, 9))


def _public_row(path: Path) -> list[Any]:
    document = json.loads(path.read_text())
    reading, problem = min(_timed(lambda: GraphPartition.read(path)) for _ in range(RUNS))
    solving, result = min(_timed(lambda: solve(problem, time_limit_s=LIMIT_S)) for _ in range(RUNS))
    _check(document, result)
    alone = solve(replace(problem, cpus=0), time_limit_s=LIMIT_S)
    _check(document | {"maxCPUs": 0}, alone)
    again = "–"
    with suppress(TooManyIdealsError):
        found = naive_optimum(document, MOST_IDEALS)
        assert found is not None
        assert abs(found - result.objective) <= 1e-9 * found, path
        again = "yes"
    name = path.stem
    other = name.startswith("resnet50") and "operator" in str(path.parent).lower()
    known = None if other else PUBLISHED.get(name)
    return [
        f"`{name}`",
        "–" if known is None else f"{known:g}",
        f"{result.objective:.6f}",
        result.outcome if result.outcome == "optimal" else f"gap {100 * result.gap:.2g} %",
        f"{alone.objective:.6f}",
        f"{result.details.get('ideals', 0):,}",
        f"{result.details.get('pairs', 0):,}",
        f"{reading:.2f}",
        f"{solving:.2f}",
        again,
    ]


def _check(document: Any, result: Result) -> None:
    """Price a plan from the file, and stop at any difference."""
    assert result.decision is not None
    device = result.decision.to_dict()["device"]
    devices = {n["id"]: d for n, d in zip(document["nodes"], device, strict=True)}
    load = max(device_loads(document, devices).values())
    assert abs(load - result.objective) <= 1e-9 * load
    assert faults(document, devices) == []


def growing_table() -> Table:
    """Time graphs of growing size, with a CPU and without."""
    rows: list[list[Any]] = []
    for family, nodes in GROWING:
        for cpus in (0, 1):
            problem = getattr(families, family)(0, nodes, 6, cpus)
            spent, result = _timed(lambda problem=problem: solve(problem, time_limit_s=LIMIT_S))
            chains = solve(problem, "chains")
            rows.append(
                [
                    f"`{family}`, {nodes} nodes, {cpus} CPU",
                    result.outcome,
                    f"{100 * result.gap:.2g}",
                    f"{result.details.get('ideals', 0):,}",
                    f"{result.details.get('pairs', 0):,}",
                    f"{spent:.2f}",
                    f"{100 * (chains.objective / result.objective - 1):.2f}",
                ]
            )
    head = ("graph", "`ideals`", "gap, %", "ideals", "pairs", "CPU s", "`chains` above, %")
    note = (
        f"Generated graphs on 6 accelerators, at most {LIMIT_S:g} s of the clock, and how far the "
        "best chain of 30 orders is above the plan of `ideals`."
    )
    return Table("growing", head, rows, note, text=(0, 1, 2, 3, 4, 5, 6))


def programs_table() -> Table:
    """Solve graphs by an integer program as well."""
    rows: list[list[Any]] = []
    for name, problem in _small():
        spent, result = _timed(lambda problem=problem: solve(problem))
        other, program = _timed(
            lambda problem=problem: solve(problem, "highs", time_limit_s=LIMIT_S)
        )
        assert program.bound <= result.objective * (1 + 1e-9)
        assert program.objective >= result.objective * (1 - 1e-6)
        rows.append(
            [
                f"`{name}`",
                f"{result.objective:.6f}",
                f"{spent:.2f}",
                f"{program.objective:.6f}" if program.is_feasible else "–",
                f"{100 * program.gap:.2g}" if program.is_feasible else "–",
                f"{other:.2f}",
            ]
        )
    head = ("graph", "`ideals`", "CPU s", "`highs`", "its gap, %", "its CPU s")
    note = f"The same graphs by HiGHS on the integer program, at most {LIMIT_S:g} s of the clock."
    return Table("programs", head, rows, note, text=(0, 1, 2, 3, 4, 5))


def rounds_table() -> Table:
    """Compare plans for the least round with those for the least load, by bound and by replay."""
    rows: list[list[Any]] = []
    for family in ROUND_FAMILIES:
        for batches in (2, 8, 32):
            found = np.array([_round_row(family, seed, batches) for seed in range(ROUND_GRAPHS)])
            bound, ratio, share, fewer = found.T
            rows.append(
                [
                    f"`{family}`, M = {batches}",
                    f"{bound.mean():.3f}",
                    f"{ratio.mean():.3f}",
                    f"{ratio.min():.3f}",
                    f"{ratio.max():.3f}",
                    f"{share.mean():.2f}",
                    f"{fewer.mean():.1f}",
                ]
            )
    head = (
        "graphs",
        "objective, mean",
        "replay, mean",
        "least",
        "most",
        "replay / objective",
        "machines fewer",
    )
    note = (
        f"Plans for the least round over plans for the least load, {ROUND_GRAPHS} graphs of 24 "
        "nodes on 5 accelerators and a CPU each, all proved: what is guaranteed (objective), and "
        "what the replay takes; then how much of its objective the replay takes."
    )
    return Table("rounds", head, rows, note, text=(0, 1, 2, 3, 4, 5, 6))


def _round_row(family: str, seed: int, batches: int) -> tuple[float, float, float, float]:
    """Return ratios of objective and replay, the replay's share, and how many machines fewer."""
    drawn = getattr(families, family)(seed, 24, 5)
    problem = replace(drawn, micro_batches=batches, objective="round")
    plans = [solve(problem), solve(problem.with_objective("load"))]
    assert all(found.outcome == "optimal" for found in plans)
    devices = [found.decision.device for found in plans]
    bounds = [problem.evaluate(found.decision) for found in plans]
    replays = [run(stations_of(problem, device)[1], batches).makespan_s for device in devices]
    assert all(a <= b * (1 + 1e-9) for a, b in zip(replays, bounds, strict=True))
    fewer = len(np.unique(devices[1])) - len(np.unique(devices[0]))
    return bounds[0] / bounds[1], replays[0] / replays[1], replays[0] / bounds[0], float(fewer)


def _small() -> Iterator[tuple[str, GraphPartition]]:
    """Iterate over graphs that an integer program may finish."""
    for family in ("branches", "layered", "training"):
        yield f"{family}, 12 nodes", getattr(families, family)(0, 12, 3)
    yield "branches, 30 nodes", families.branches(0, 30, 4)
    yield "bert24_training", GraphPartition.read(WORKLOADS / "bert24_training.json")


class _Timed(tuple[float, Any]):
    """CPU seconds and what was computed, ordered by the seconds."""

    def __lt__(self, other: Any) -> bool:
        return bool(self[0] < other[0])


def _timed(work: Any) -> _Timed:
    begin = time.process_time()
    found = work()
    return _Timed((time.process_time() - begin, found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
