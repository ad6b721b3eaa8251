"""``python -m benchmarks.servers``: which edge server serves whom, exactly and by rules."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.tables import printed, write_rows
from splitopt import solve
from splitopt.bench.instances.benchmark import Recipe
from splitopt.bench.instances.families.cut_and_resources import BENCHMARK
from splitopt.bench.running.machine import describe_machine
from splitopt.problems.base import Problem
from splitopt.results import Result

RESULTS = Path(__file__).parent / "results"
SIZES = (("servers", 20, 3), ("seats", 20, 3), ("servers", 100, 5), ("servers", 1000, 10))
RULES = ("nearest_server", "greedy_association")
COLUMNS = {
    "family": ("family", "`{}`"),
    "devices": ("devices", "{:,}"),
    "servers": ("servers", "{}"),
    "objective": ("objective", "{}"),
    "outcome": ("outcome", "{}"),
    "time_s": ("CPU time in s", "{:.2f}"),
    "near_s": ("of which to a gap of 1e-6", "{}"),
    "gap": ("certified gap", "{:.1e}"),
    "nodes": ("nodes", "{}"),
    "nearest_server": ("`nearest_server` longer by", "{:.1%}"),
    "greedy_association": ("`greedy_association` longer by", "{:.1%}"),
}


def main(arguments: Sequence[str]) -> int:
    """Measure, print every row, and write ``servers`` as CSV and Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.servers", description=__doc__)
    parser.add_argument("--time-limit", type=float, default=30.0, metavar="S")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    rows = printed(_measured(options.time_limit), COLUMNS, " | ")
    machine = describe_machine()
    note = (
        f"{machine['processor']}, Python {machine['python']}, limit {options.time_limit:g} s; "
        "seed 0, 8 cuts at every server."
    )
    write_rows(options.output / "servers", rows, COLUMNS, note)
    return 0


def _measured(limit_s: float) -> Iterator[dict[str, Any]]:
    solve(BENCHMARK.draw(Recipe("servers", {"devices": 4, "servers": 2})), "exact")  # imports
    for family, devices, servers in SIZES:
        drawn = BENCHMARK.draw(Recipe(family, {"devices": devices, "servers": servers}))
        for objective in drawn.askable:
            problem = drawn.with_objective(objective)
            found, taken = _timed(problem, "exact", limit_s)
            yield {
                "family": family,
                "devices": devices,
                "servers": servers,
                "objective": objective,
                "outcome": found.outcome,
                "time_s": taken,
                "near_s": _near(found, taken),
                "gap": found.gap,
                "nodes": found.details["nodes"],
            } | {
                rule: _timed(problem, rule, limit_s)[0].objective / found.objective - 1
                for rule in RULES
            }


def _timed(problem: Problem[Any], solver: str, limit_s: float) -> tuple[Result, float]:
    begin = time.process_time()
    found = solve(problem, solver, time_limit_s=limit_s)
    return found, time.process_time() - begin


def _near(found: Result, taken: float) -> str:
    """Return the time to a gap of 1e-6, in proportion to the CPU time of the whole run."""
    whole = found.times.total_s or 1.0
    for point in found.trace:
        if point.objective - point.bound <= 1e-6 * abs(point.objective):
            return f"{point.time_s / whole * taken:.2f}"
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
