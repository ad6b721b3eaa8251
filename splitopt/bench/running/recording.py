"""The row of a run: what was measured, and its claims once they are checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splitopt.bench.checking.claims import judge
from splitopt.bench.rows import Row, Status
from splitopt.bench.running.jobs import Job
from splitopt.bench.running.machine import describe_machine, git_revision, timestamp
from splitopt.bench.running.supervisor import RawRun
from splitopt.problems.base import Problem
from splitopt.results import relative_gap


def skipped_row(job: Job, reason: str) -> Row:
    """Return the row of a run that was not started."""
    return _row(job, RawRun("skipped", reason, 0.0, None, None, None), "skipped", reason, None, {})


def checked_row(job: Job, raw: RawRun, problem: Problem[Any]) -> Row:
    """Return the row of a run, its claims checked."""
    if raw.result is None:
        return _row(job, raw, raw.status, raw.message, None, {})
    claim = raw.result
    verdict = judge(problem, claim)
    status: Status = "ok"
    message = claim["message"]
    if verdict.contradiction is not None:
        status, message = "lied", verdict.contradiction
    elif claim["outcome"] == "error":
        status = "lied" if claim["decision"] is not None else "crashed"
    elif claim["stop_reason"] == "solver_error" and verdict.value is None:
        status = "crashed"
    return _row(job, raw, status, message, verdict.value, claim)


def _row(
    job: Job,
    raw: RawRun,
    status: Status,
    message: str | None,
    value: float | None,
    claim: Mapping[str, Any],
) -> Row:
    times = claim.get("times", {})
    bound = claim.get("bound")
    gap = None if value is None or bound is None else relative_gap(value, bound)
    versions = claim.get("versions", {})
    return Row(
        suite=job.suite,
        problem=job.instance.problem,
        objective=job.objective,
        instance=job.instance.name,
        instance_digest=job.digest,
        size=dict(job.size),
        solver=job.entrant.name,
        solver_version=job.solver_version,
        options=dict(job.options),
        seed=job.seed,
        threads=job.settings.threads,
        time_limit_s=job.settings.time_limit_s,
        memory_limit_mib=job.settings.limits.memory_mib,
        status=status,
        outcome=claim.get("outcome"),
        stop_reason=claim.get("stop_reason"),
        message=message,
        value=value,
        bound=bound,
        gap=gap,
        best_known=None,
        gap_to_best_known=None,
        iterations=claim.get("iterations"),
        build_s=times.get("build_s"),
        solve_s=times.get("solve_s"),
        total_s=times.get("total_s"),
        wall_s=raw.wall_s,
        warmup_s=raw.warmup_s,
        peak_memory_mib=raw.peak_memory_mib,
        trace=[
            [point["time_s"], point["objective"], point["bound"]]
            for point in claim.get("trace", [])
        ],
        machine=describe_machine(),
        git_revision=git_revision(),
        splitopt_version=versions.get("splitopt") or _own_version(),
        timestamp=timestamp(),
    )


def _own_version() -> str:
    from splitopt import __version__

    return str(__version__)
