"""The runner's own check of what a run claims, and the rows that come of it.

A solver never scores itself: the decision is decoded, checked and evaluated here, in another
process than the solver's. A claim that does not hold makes the run a lie, and its row says which.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from splitopt.bench.instances import BestKnown
from splitopt.bench.jobs import Job
from splitopt.bench.machine import describe_machine, git_revision, timestamp
from splitopt.bench.rows import Row, Status
from splitopt.bench.supervise import RawRun
from splitopt.errors import InputError
from splitopt.problems.base import Problem
from splitopt.results import OPTIMAL_GAP, Outcome, StopReason, relative_gap

TOLERANCE = 1e-9
"""How far, relatively, a claimed number may be from the truth by rounding."""

Table = Mapping[tuple[str, str, str], BestKnown]


@dataclass(frozen=True)
class Verdict:
    """What a claim is worth: the value as evaluated here, and the lie if there is one."""

    value: float | None
    lie: str | None


def above(bound: float, value: float) -> bool:
    """Whether a lower bound stands above a value by more than rounding."""
    return bound - value > TOLERANCE * max(abs(value), abs(bound))


def judge(problem: Problem[Any], claim: Mapping[str, Any]) -> Verdict:
    """Check a result (as `Result.to_dict` gives it) against its problem.

    The claims are the outcome, the objective and the bound; the decision is what they are held
    against.
    """
    outcome, stop = claim["outcome"], claim["stop_reason"]
    if outcome not in get_args(Outcome) or stop not in get_args(StopReason):
        return Verdict(None, f"says the outcome {outcome!r} with {stop!r}, which do not exist")
    if outcome == "infeasible" and problem.infeasibility() is None:
        return Verdict(None, "says that there is no answer, but no device or limit rules one out")
    if outcome not in ("optimal", "feasible"):
        return Verdict(None, None)
    if claim["decision"] is None:
        return Verdict(None, f"says {outcome!r} without a decision")
    value, lie = evaluate_decision(problem, claim["decision"])
    if value is None or lie is not None:
        return Verdict(None, lie)
    claimed = claim["objective"]
    if claimed is None or abs(claimed - value) > TOLERANCE * max(abs(value), abs(claimed)):
        return Verdict(value, f"says the objective {claimed!r}, its decision has {value!r}")
    bound = -math.inf if claim["bound"] is None else float(claim["bound"])
    if above(bound, value):
        return Verdict(value, f"its bound {bound!r} is above the value {value!r} that it reached")
    if outcome == "optimal" and relative_gap(value, bound) > OPTIMAL_GAP + TOLERANCE:
        gap = relative_gap(value, bound)
        return Verdict(value, f"says 'optimal' with a gap of {gap:.3g} to its own bound")
    return Verdict(value, None)


def evaluate_decision(
    problem: Problem[Any], document: Mapping[str, Any]
) -> tuple[float | None, str | None]:
    """Decode, check and evaluate a decision: its value, or what is wrong with it."""
    try:
        decision = problem.decode(document)
    except InputError as error:
        return None, f"its decision cannot be read: {error}"
    violated = problem.violations(decision)
    if violated:
        broken = ", ".join(f"{name} by {by:.3g}" for name, by in violated.items())
        return None, f"its decision is not feasible: {broken}"
    value = problem.evaluate(decision)
    if not math.isfinite(value):
        return None, f"its decision has the objective {value!r}"
    return value, None


def skipped_row(job: Job, reason: str) -> Row:
    """Give the row of a run that was not started."""
    return _row(job, RawRun("skipped", reason, 0.0, None, None, None), "skipped", reason, None, {})


def checked_row(job: Job, raw: RawRun, problem: Problem[Any]) -> Row:
    """Give the row of a run, its claims checked."""
    if raw.result is None:
        return _row(job, raw, raw.status, raw.message, None, {})
    claim = raw.result
    verdict = judge(problem, claim)
    status: Status = "ok"
    message = claim["message"]
    if verdict.lie is not None:
        status, message = "lied", verdict.lie
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


def settle(rows: Iterable[Row], table: Table) -> list[Row]:
    """Hold all rows against each other and the best known values.

    A bound above a value that any checked decision reached is a lie, whichever run came first,
    and so is "infeasible" where there is an answer. The best known value of an instance is the
    better one of the table's and of what these rows reached. Rows come back sorted by their keys;
    settling settled rows changes nothing.
    """
    groups: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in rows:
        place = (row.problem, row.objective, row.instance, row.instance_digest)
        groups.setdefault(place, []).append(row)
    settled = []
    for place, members in groups.items():
        settled += _settle_instance(members, table.get(place[:3]))
    return sorted(settled, key=lambda row: row.key)


def _settle_instance(rows: Sequence[Row], known: BestKnown | None) -> list[Row]:
    values = [row.value for row in rows if row.value is not None]
    reached = min(values, default=None)
    tabled = None if known is None else known.value
    best = min((value for value in (reached, tabled) if value is not None), default=None)
    proved_above = (
        known is not None
        and known.status == "proved"
        and reached is not None
        and (tabled is None or above(tabled, reached))
    )
    found = []
    for row in rows:
        message, status = row.message, row.status
        if best is not None and status == "ok" and row.bound is not None and above(row.bound, best):
            status = "lied"
            message = f"its bound {row.bound!r} is above {best!r}, which is reached"
        elif best is not None and status == "ok" and row.outcome == "infeasible":
            status = "lied"
            message = f"says that there is no answer, but the value {best!r} is reached"
        elif proved_above and status == "ok" and row.value == reached:
            message = f"is better than the table's proved value {tabled!r}: the table is wrong"
        gap = None
        if row.value is not None and best is not None:
            gap = max(0.0, relative_gap(row.value, best))
        found.append(
            replace(row, status=status, message=message, best_known=best, gap_to_best_known=gap)
        )
    return found
