"""One measurement in a process of its own: ``python -m benchmarks.scale.case JSON``."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.scale.fleets import draw
from splitopt import load_problem, solve
from splitopt.bench.running.machine import MIB

ROOT = Path(__file__).resolve().parents[2]
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
WARM_NOISE = 0.01


def measure(case: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Run one case in a fresh process with one thread.

    Parameters
    ----------
    case
        ``family``, ``objective``, ``devices``, ``seed``, and optional ``solver``, ``warm``
        (solve again after noise, from the prices), ``file`` (an instance to read instead).
    environment
        The environment of this process.

    Raises
    ------
    RuntimeError
        The process failed; the message is what it said.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scale.case", json.dumps(case)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**environment, **THREADS},
    )
    if done.returncode != 0:
        raise RuntimeError(f"{dict(case)}: {done.stderr.strip() or done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def run(case: Mapping[str, Any]) -> dict[str, Any]:
    """Build, solve, and solve again; times in s, memory in MiB of the whole process so far."""
    begin = time.perf_counter()
    if "file" in case:
        problem = load_problem(case["file"])
    else:
        problem = draw(case["family"], case["objective"], case["devices"], case["seed"])
    built = time.perf_counter() - begin
    result = solve(problem, case.get("solver", "exact"), time_limit_s=600)
    if not result.is_feasible:
        raise RuntimeError(f"{result.solver}: {result.outcome}, {result.message}")
    found = {
        "build_s": built,
        "time_s": result.times.total_s,
        "peak_mib": peak_mib(),
        "objective_value": result.objective,
        "gap": result.gap,
        "outcome": result.outcome,
        "passes": result.iterations,
        "warm_s": None,
        "warm_gap": None,
    }
    if case.get("warm"):
        prices = tuple(result.details["prices"])
        del problem, result
        again = draw(case["family"], case["objective"], case["devices"], case["seed"], WARM_NOISE)
        warm = solve(again, "exact", prices=prices, time_limit_s=600)
        found |= {"warm_s": warm.times.total_s, "warm_gap": warm.gap}
    return found


def peak_mib() -> float:
    """Most memory in MiB that this process has held.

    What `getrusage` says may be that of the process which started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "VmHWM":
                return int(value.split()[0]) * 1024 / MIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB


if __name__ == "__main__":
    print(json.dumps(run(json.loads(sys.argv[1]))))
