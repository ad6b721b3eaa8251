"""What is timed: `subset_dp` warm, with its goals, and integer programs on the same instance."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from splitopt import solve
from splitopt.bench.instances.benchmark import Recipe
from splitopt.bench.instances.families.pipeline_partition import BENCHMARK
from splitopt.problems.base import Problem
from splitopt.results import Result
from splitopt.solvers.registry import solver_class, why_not

BACK_ENDS = ("highs", "scip", "gurobi")
TOLERANCE = 1e-5
"""A back end proves within its own tolerances; a larger gap than this is no proof."""


@dataclass(frozen=True)
class Case:
    """A family at a size; `goal_s` is what warm runs are to stay below, if there is a goal."""

    family: str
    layers: int
    nodes: int
    objective: str = "period"
    goal_s: float | None = None

    def draw(self, seed: int) -> Problem[Any]:
        """Draw an instance."""
        recipe = Recipe(self.family, {"layers": self.layers, "nodes": self.nodes}, seed)
        return BENCHMARK.draw(recipe).with_objective(self.objective)

    def row(self) -> dict[str, Any]:
        """Return what a table says of the case."""
        return {
            "family": self.family,
            "layers": self.layers,
            "nodes": self.nodes,
            "objective": self.objective,
        }


GOALS = {"types": 0.025, "speeds": 0.3, "unrelated": 1.0}
"""Seconds for 1,000 layers on 10 nodes, warm."""

SPEED = tuple(
    Case(family, 1000, 10, objective, goal)
    for objective in ("period", "paper", "epoch")
    for family, goal in GOALS.items()
)
BESIDE = tuple(
    Case(family, 37, 5, objective)
    for family in ("types", "speeds", "unrelated")
    for objective in ("period", "paper")
)


def timed(problem: Problem[Any], solver: str, limit_s: float | None = None) -> tuple[float, Result]:
    """Solve once; give the wall-clock seconds of `solve`, the building of models included."""
    begin = time.perf_counter()
    result = solve(problem, solver, time_limit_s=limit_s)
    return time.perf_counter() - begin, result


def warm_times(
    case: Case, seeds: Sequence[int], repeats: int
) -> Iterator[tuple[float, float, float]]:
    """Yield (median seconds, processor seconds, gap) of every seed, after an uncounted run.

    Processor seconds are the mean of the runs: others' work on the machine does not count.
    """
    timed(case.draw(max(seeds) + 1), "subset_dp")
    for seed in seeds:
        problem = case.draw(seed)
        begin = time.process_time()
        runs = [timed(problem, "subset_dp") for _ in range(repeats)]
        worked = (time.process_time() - begin) / repeats
        median = statistics.median(seconds for seconds, _ in runs)
        yield median, worked, max(result.gap for _, result in runs)


def speed_row(case: Case, seeds: Sequence[int], repeats: int) -> dict[str, Any]:
    """Measure one case: median and worst over seeds of the median over repeats."""
    found = list(warm_times(case, seeds, repeats))
    times = [seconds for seconds, _, _ in found]
    row = case.row() | {
        "median_s": statistics.median(times),
        "worst_s": max(times),
        "cpu_s": statistics.median(worked for _, worked, _ in found),
        "gap": max(gap for _, _, gap in found),
        "goal_s": case.goal_s,
    }
    if case.goal_s is not None:
        row["met"] = "yes" if row["worst_s"] <= case.goal_s else "no"
    return row


def beside_row(case: Case, repeats: int, limit_s: float) -> dict[str, Any]:
    """Measure `subset_dp` and every back end that can run here on one instance.

    `subset_dp` runs compiled, as in a process that has solved something larger before.
    """
    problem = case.draw(0)
    timed(Case("types", 1000, 10).draw(0), "subset_dp")  # compiles the loops
    timed(problem, "subset_dp")
    ours = [timed(problem, "subset_dp") for _ in range(repeats)]
    seconds, result = statistics.median(s for s, _ in ours), ours[0][1]
    row = case.row() | {"subset_dp_s": seconds, "gap": result.gap}
    proofs = {}
    for name in BACK_ENDS:
        if why_not(solver_class(problem.name, name)(), problem) is not None:
            continue
        timed(Case("types", 6, 3, case.objective).draw(0), name)  # imports
        took, found = timed(problem, name, limit_s)
        row[f"{name}_s"] = took
        if found.gap <= TOLERANCE:
            proofs[name] = took
            if abs(found.objective - result.objective) > TOLERANCE * result.objective:
                raise SystemExit(f"{name} and subset_dp disagree on {row}")
    if proofs:
        row["fastest"] = min(proofs, key=proofs.__getitem__)
        row["ratio"] = min(proofs.values()) / seconds
    return row
