"""``python -m benchmarks.clusters [FOLDER] [--only=NAME]``: time subcarriers, searches, proofs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.papers.tables import Table
from benchmarks.tables import output_folder
from splitopt import ClusterAndSpectrum, solve
from splitopt.bench.instances.families import cut_and_clusters as joint
from splitopt.bench.instances.families.cluster_and_spectrum import cells, fleets
from splitopt.bench.running.machine import describe_machine
from splitopt.problems.cluster_and_spectrum.subcarriers import RULES, allocate_clusters
from splitopt.solvers.cluster_and_spectrum.swaps import Swaps, by_capability
from splitopt.solvers.registry import solver_names

RESULTS = Path(__file__).parent / "results"
SHAPES = ((5, 30), (10, 30), (10, 100), (30, 300))
FLEETS = (30, 100, 1000, 10_000)


def median_s(work: Callable[[], object], repetitions: int = 5) -> float:
    """Median seconds of this process's own computing in a call, the first one left out."""
    work()
    times = []
    for _ in range(repetitions):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return float(np.median(times))


def subcarriers_table() -> Table:
    """Time the three rules on the same clusters."""
    rows: list[list[Any]] = []
    for size, subcarriers in SHAPES:
        for epochs in (1, 2, 5):
            problem = cells(0, 50 * size, size, subcarriers, epochs)
            rng = np.random.default_rng(0)
            count = max(20, 60_000 // (size * subcarriers))
            clusters = [rng.choice(50 * size, size, replace=False) for _ in range(count)]
            times = {
                rule: 1e6 * median_s(partial(allocate_clusters, problem, clusters, rule)) / count
                for rule in RULES
            }
            ratio = times["exact"] / times["greedy"]
            rows.append([f"K {size}, C {subcarriers}, L {epochs}", *times.values(), ratio])
    head = ("cluster", *(f"`{rule}` in us" for rule in RULES), "`exact` / `greedy`")
    return Table(
        "subcarriers",
        head,
        rows,
        "Computing time for a cluster of a batch, all rules compiled and timed in one run.",
    )


def iterations_table() -> Table:
    """Time an iteration by the number of devices, pricing two clusters or all."""
    rows: list[list[Any]] = []
    for devices in FLEETS:
        problem = cells(0, devices)
        times = []
        for naive, swaps in ((False, 4096), (True, max(2, 200_000 // devices))):
            state = Swaps(problem, by_capability(problem), naive=naive)
            rng = np.random.default_rng(0)
            times.append(1e6 * median_s(partial(state.advance, rng, np.zeros(swaps)), 3) / swaps)
        rows.append([f"{devices:,}", *times])
    head = ("devices", "two clusters priced, us", "all clusters priced, us")
    return Table("iterations", head, rows, "An iteration of a search by swaps, clusters of 5.")


def quality_table() -> Table:
    """Report how far annealing comes, and in which time."""
    rows: list[list[Any]] = []
    for seed in range(5):
        problem = cells(seed, 30)
        known, words = _reference(problem)
        solve(problem, "anneal", iterations=10, chains=1)
        found = solve(problem, "anneal", chains=1, seed=seed)
        above = 100 * (found.objective / known - 1)
        rows.append([f"30, population {seed}, above {words}", above, found.times.total_s])
    problem = cells(0, 10_000)
    sort = solve(problem, "similar_compute").objective
    found = solve(problem, "anneal", time_limit_s=60)
    rows.append(
        [
            "10,000, below the sort by capability",
            100 * (1 - found.objective / sort),
            found.times.total_s,
        ]
    )
    note = "One chain of `anneal` with its default number of swaps."
    return Table("quality", ("devices", "in %", "seconds"), rows, note, digits=3)


def gaps_table() -> Table:
    """Report how far from the optimum `set_partition` proves to be, within a limit of time."""
    rows: list[list[Any]] = []
    solve(cells(0, 10), "set_partition")
    for devices, limit_s, goal in ((30, 10, 0.0), (100, 10, 0.5), (200, 30, 1.0), (500, 120, 1.0)):
        for seed in range(1 if devices == 500 else 3):
            found = solve(cells(seed, devices), "set_partition", time_limit_s=limit_s)
            name = f"{devices}, population {seed}"
            rows.append([name, 100 * found.gap, goal, found.times.total_s, limit_s])
    note = (
        "Certified gaps of `set_partition`, clusters of 5, 30 subcarriers, the incumbent's search "
        "and the bound in one run."
    )
    head = ("devices", "gap in %", "goal in %", "seconds", "limit in s")
    return Table("gaps", head, rows, note)


def types_table() -> Table:
    """Prove fleets of few types, and certify those of nearly few."""
    rows: list[list[Any]] = []
    shapes: list[tuple[str, dict[str, int], float]] = [
        (f"{devices:,} devices, {types} types", {"devices": devices, "types": types}, 60)
        for devices in (100, 1_000, 10_000)
        for types in (2, 4, 6)
    ]
    shapes += [
        ("100, 4 types, 5 unlike", {"devices": 100, "unlike": 5}, 60),
        ("1,000, 4 types, 10 unlike", {"devices": 1_000, "unlike": 10}, 60),
        ("1,000, 4 types, 3 local epochs", {"devices": 1_000, "epochs": 3}, 60),
        ("10,000, 4 types, speeds +-0.1 %", {"devices": 10_000, "per_mille": 1}, 10),
        ("10,000, 4 types, speeds +-1 %", {"devices": 10_000, "per_mille": 10}, 10),
    ]
    solve(fleets(0, 10, 2), "set_partition")
    for name, shape, limit_s in shapes:
        times, gaps, proved = [], [], 0
        for seed in range(3):
            problem = fleets(seed, **shape)
            begin = time.process_time()
            found = solve(problem, "set_partition", time_limit_s=limit_s)
            times.append(time.process_time() - begin)
            gaps.append(100 * found.gap)
            proved += found.outcome == "optimal"
        rows.append([name, f"{proved} of 3", max(gaps), max(times), limit_s])
    head = ("fleet", "proved", "worst gap in %", "worst seconds", "limit in s")
    note = (
        "Fleets of few types by `set_partition`, clusters of 5, 30 subcarriers, three fleets each."
    )
    return Table("types", head, rows, note, digits=3, text=(0, 1))


def proofs_table() -> Table:
    """Prove different devices, or tell how far that comes within a limit of time."""
    rows: list[list[Any]] = []
    solve(cells(0, 10), "set_partition")
    for devices, seeds, limit_s in ((60, 6, 60), (100, 2, 120), (200, 1, 60)):
        for seed in range(seeds):
            problem = cells(seed, devices)
            begin = time.process_time()
            found = solve(problem, "set_partition", time_limit_s=limit_s)
            spent = time.process_time() - begin
            name = f"{devices}, population {seed}"
            rows.append([name, found.outcome, found.objective, 100 * found.gap, spent, limit_s])
    head = ("devices", "outcome", "round in s", "gap in %", "seconds", "limit in s")
    note = (
        "`set_partition` on different devices, clusters of 5, 30 subcarriers. Seconds are those of "
        "the processor, of which other work took about half; limits are by the clock."
    )
    return Table("proofs", head, rows, note, digits=3, text=(0, 1))


def joint_table() -> Table:
    """Prove the cut together with the clusters: one for all, and one for every cluster."""
    rows: list[list[Any]] = []
    for own in (0, 1):
        solve(joint.cells(0, 10, own=own), "set_partition")
    for family in (joint.cells, joint.unstructured):
        for own in (0, 1):
            times, gaps, proved, cuts = [], [], 0, 0
            for seed in range(3):
                problem = family(seed, 30, own=own)
                begin = time.process_time()
                found = solve(problem, "set_partition", time_limit_s=60)
                times.append(time.process_time() - begin)
                gaps.append(100 * found.gap)
                proved += found.outcome == "optimal"
                cuts = len(problem.cuts)
            words = "every cluster's cut" if own else "a common cut"
            rows.append(
                [
                    f"`{family.__name__}`, {words}",
                    str(cuts),
                    f"{proved} of 3",
                    max(gaps),
                    max(times),
                ]
            )
    head = ("30 devices, of which is chosen", "cuts", "proved", "worst gap in %", "worst seconds")
    note = "`set_partition` on cut, clusters and subcarriers together, three fleets each."
    return Table("joint", head, rows, note, digits=3, text=(0, 1, 2))


def _reference(problem: ClusterAndSpectrum) -> tuple[float, str]:
    """Return the proved optimum where a solver proves it, else the best of long annealing."""
    if "set_partition" in solver_names(problem.name):
        proved = solve(problem, "set_partition")
        if proved.outcome == "optimal":
            return proved.objective, "the proved optimum"
    return solve(problem, "anneal", iterations=200_000).objective, "the best of 600,000 swaps"


TABLES = (
    subcarriers_table,
    iterations_table,
    quality_table,
    gaps_table,
    types_table,
    proofs_table,
    joint_table,
)


def main(arguments: list[str]) -> int:
    """Write all tables into a folder, `RESULTS` by default; with ``--only=NAME`` one of them."""
    only = [word.removeprefix("--only=") for word in arguments if word.startswith("--only=")]
    arguments = [word for word in arguments if not word.startswith("--only=")]
    makers = {make.__name__.removesuffix("_table"): make for make in TABLES}
    if unknown := set(only) - set(makers):
        print(f"--only is {min(unknown)!r}, it must be one of {', '.join(makers)}", file=sys.stderr)
        return 2
    if (folder := output_folder(arguments, "benchmarks.clusters", RESULTS)) is None:
        return 2
    machine = describe_machine()
    print(f"{machine['processor']}, one thread, Python {machine['python']}\n")
    for name, make in makers.items():
        if only and name not in only:
            continue
        table = make()
        table.save(folder)
        print(table.markdown(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
