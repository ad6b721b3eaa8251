"""One plan in a process of its own: ``... benchmarks.groups.case SCENARIO OBJECTIVE PLAN``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.scale.case import ROOT, THREADS, peak_mib


def measure(scenario: Path, objective: str, output: Path) -> dict[str, Any]:
    """Plan a scenario in a fresh process with one thread.

    ``whole_s`` is what the process took in all, Python's start included; the rest it says itself.

    Raises
    ------
    RuntimeError
        The process failed; the message is what it said.
    """
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.groups.case", str(scenario), objective, str(output)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=_environment(output.parent),
    )
    if done.returncode != 0:
        raise RuntimeError(f"{scenario}: {done.stderr.strip() or done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout)
    return {**found, "whole_s": time.perf_counter() - begin}


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of a user: bytecode is kept, here in a folder of this run."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **THREADS, "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}


def run(scenario: str, objective: str, output: str) -> dict[str, Any]:
    """Read, plan and save; times in s, memory in MiB and ``cpu_s`` of the whole process."""
    from splitopt import Scenario, plan

    begin = time.perf_counter()
    given = Scenario.load(scenario)
    read = time.perf_counter()
    made = plan(given, objective=objective)
    planned = time.perf_counter()
    made.save(output)
    saved = time.perf_counter()
    if made.decision is None or made.prediction is None:
        raise RuntimeError(f"{made.result['outcome']}: {made.result['message']}")
    return {
        "devices": given.device_count(),
        "groups": len(given.devices),
        "objective": objective,
        "read_s": read - begin,
        "solve_s": made.result["times"]["total_s"],
        "plan_s": planned - read,
        "save_s": saved - planned,
        "file_s": saved - begin,
        "cpu_s": time.process_time(),
        "peak_mib": peak_mib(),
        "gap": made.result["gap"],
        "parts": made.prediction["groups"]["parts"],
        "plan_mb": Path(output).stat().st_size / 1e6,
    }


if __name__ == "__main__":
    print(json.dumps(run(*sys.argv[1:])))
