"""What is started cold: plans, loads of solvers, and the shell's first steps."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LOAD = """
import json, sys, time
from splitopt.bench.instances.benchmark import Recipe, find_benchmark
from splitopt.solvers.registry import make_solver

problem, solver, family, size = json.loads(sys.argv[1])
asked = find_benchmark(problem).draw(Recipe(family, size, 0)).plain
chosen = make_solver(asked, solver)
for module in chosen.requires:
    __import__(module)
begin, used = time.perf_counter(), time.process_time()
asked.load_loops()
chosen.load(asked)
print(json.dumps([time.perf_counter() - begin, time.process_time() - used]))
"""
SOLVERS: tuple[tuple[str, str, str, dict[str, int]], ...] = (
    ("pipeline_partition", "subset_dp", "unrelated", {"layers": 100, "nodes": 8}),
    ("pipeline_partition", "subset_dp", "links_pairwise", {"layers": 100, "nodes": 8}),
    ("pipeline_partition", "subset_dp", "links_nic", {"layers": 100, "nodes": 8}),
    ("pipeline_partition", "order_search", "links_serial", {"layers": 100, "nodes": 8}),
    ("cluster_and_spectrum", "set_partition", "uneven", {"devices": 12}),
    ("cluster_and_spectrum", "anneal", "uneven", {"devices": 12}),
    ("cluster_and_spectrum", "gibbs", "uneven", {"devices": 12}),
    ("cut_and_clusters", "set_partition", "unstructured", {"devices": 12}),
    ("cut_under_uncertainty", "saa", "drawn", {"devices": 6, "cuts": 3, "samples": 4}),
    ("generator_pairing", "set_cover", "links", {"devices": 30, "labels": 10}),
    ("time_to_accuracy", "exact", "fleet", {"devices": 30}),
    ("time_to_accuracy", "no_model", "fleet", {"devices": 30}),
    ("graph_partition", "ideals", "towers", {"nodes": 60, "accelerators": 6}),
    ("graph_partition", "chains", "towers", {"nodes": 60, "accelerators": 6}),
    ("replicated_pipeline", "counts_dp", "memory", {"layers": 60, "devices": 9}),
    ("replicated_pipeline", "alike_devices", "memory", {"layers": 60, "devices": 9}),
    ("cut_and_resources", "dp_mora", "uniform", {"devices": 8, "layers": 10}),
    ("cut_and_resources", "equal_share", "uniform", {"devices": 300_000, "layers": 10}),
    ("cut_and_resources", "exact", "uniform", {"devices": 300_000, "layers": 10}),
    ("cut_and_resources", "exact", "partitions", {"devices": 40}),
)
"""Solvers that compile loops, each with a problem of a size that is worth it."""


def scenarios() -> list[str]:
    """List the shipped scenarios by name, and the examples by path."""
    shipped = sorted(path.stem for path in (ROOT / "splitopt/scenario/data").glob("*.yaml"))
    examples = sorted((ROOT / "examples").glob("*.yaml"))
    return [*shipped, *(str(path.relative_to(ROOT)) for path in examples)]


def started(command: Sequence[str], cache: str) -> tuple[float, float]:
    """Run a command to its end; return its wall and its CPU seconds, those of its children too."""
    env = {**os.environ, "NUMBA_CACHE_DIR": cache, "PYTHONPATH": str(ROOT)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    subprocess.run(command, env=env, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return wall, used


def plans(names: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """Measure the first and the next plan of each scenario, each on a cache of its own."""
    for name in names or scenarios():
        with tempfile.TemporaryDirectory() as folder:
            plan = ["plan", name, "-o", str(Path(folder) / "plan.json")]
            command = [sys.executable, "-m", "splitopt", *plan]
            cache = str(Path(folder) / "cache")
            first, first_cpu = started(command, cache)
            next_s, next_cpu = started(command, cache)
        yield {
            "scenario": name,
            "first_s": first,
            "first_cpu_s": first_cpu,
            "next_s": next_s,
            "next_cpu_s": next_cpu,
        }


def loads() -> Iterator[dict[str, Any]]:
    """Measure what each solver loads, compiled first and from the cache then."""
    for problem, solver, family, size in SOLVERS:
        row: dict[str, Any] = {"problem": problem, "solver": solver, "family": family}
        row["size"] = ", ".join(f"{name} {value:,}" for name, value in size.items())
        with tempfile.TemporaryDirectory() as folder:
            env = {**os.environ, "NUMBA_CACHE_DIR": folder, "PYTHONPATH": str(ROOT)}
            for kind in ("cold", "kept"):
                done = subprocess.run(
                    [sys.executable, "-c", LOAD, json.dumps([problem, solver, family, size])],
                    env=env,
                    cwd=ROOT,
                    capture_output=True,
                    text=True,
                    check=True,
                )
                row[f"{kind}_s"], row[f"{kind}_cpu_s"] = json.loads(done.stdout)
        yield row


def starts(repeats: int = 5) -> Iterator[dict[str, Any]]:
    """Measure the start of Python, of the package and of the command line: the least of some."""
    commands = {
        "python -c pass": ["-c", "pass"],
        "import splitopt": ["-c", "import splitopt"],
        "splitopt --help": ["-m", "splitopt", "--help"],
    }
    for name, arguments in commands.items():
        runs = [started([sys.executable, *arguments], os.devnull) for _ in range(repeats)]
        wall, used = (min(column) for column in zip(*runs, strict=True))
        yield {"command": name, "wall_s": wall, "cpu_s": used}
