"""One benchmark run in its own process: ``python -m splitopt.bench.running.worker``.

It reads a job as one line of JSON from standard input and writes events as lines of JSON to
standard output: ``skipped`` with a reason, ``ready`` after the warm-up, ``result`` or ``failed``.
Whatever the solver prints goes to standard error. When standard input is closed, which happens
when the runner dies, the process ends at once.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

WARMUP_LIMIT_S = 5.0
"""Time limit of the run on a tiny instance that pays for imports and compilation."""

Emit = Callable[..., None]


def main() -> None:
    """Read the job, run it, and report events."""
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_runner, daemon=True).start()
    # The events get the standard output to themselves; a solver's banner must not break them.
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def emit(event: str, **content: Any) -> None:
        events.write(json.dumps({"event": event, **content}, allow_nan=False) + "\n")
        events.flush()

    try:
        run_job(job, emit)
    except Exception as error:
        emit("failed", message=f"{type(error).__name__}: {' '.join(str(error).split())}")


def run_job(job: Mapping[str, Any], emit: Emit) -> None:
    """Load the instance, warm the solver up, run it once under the clock and report."""
    from splitopt.bench.entrants.entrant import Entrant
    from splitopt.bench.entrants.warming import warm_up
    from splitopt.bench.instances.benchmark import find_benchmark
    from splitopt.bench.instances.instance import load_instance
    from splitopt.driver import solve
    from splitopt.solvers.registry import why_not

    problem = load_instance(job["instance"], job["objective"])
    entrant = Entrant(**job["entrant"])
    solver = entrant.make(job["threads"])
    if reason := why_not(solver, problem):
        emit("skipped", message=reason)
        return
    begin = time.perf_counter()
    limit = min(job["time_limit_s"], WARMUP_LIMIT_S)
    copy = entrant.make(job["threads"])
    warm_up(copy, find_benchmark(entrant.problem), job["objective"], limit, job["seed"])
    problem.plain.load_loops()  # those of this size: the tiny one may need none
    solver.load(problem.plain)
    emit("ready", warmup_s=time.perf_counter() - begin)
    result = solve(problem, solver, time_limit_s=job["time_limit_s"], seed=job["seed"])
    emit("result", result=result.to_dict(), peak_memory_mib=_peak_memory_mib())


def _peak_memory_mib() -> float | None:
    """Largest resident memory of this process so far, where the system keeps it.

    ``getrusage`` will not do: its peak starts with that of the process which started this one.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    peak = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return float(peak[0]) / 1024 if peak else None


def _end_with_the_runner() -> None:
    sys.stdin.read()
    os._exit(3)


if __name__ == "__main__":
    main()
