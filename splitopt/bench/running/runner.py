"""Running a benchmark: jobs out, checked rows in, appended one by one to a file that resumes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from splitopt.bench.checking.settling import Table, settle
from splitopt.bench.rows import Row, append_row, cut_torn_line, read_rows, write_rows
from splitopt.bench.running.jobs import Job
from splitopt.bench.running.recording import checked_row, skipped_row
from splitopt.bench.running.supervisor import RawRun, Supervisor, supervise
from splitopt.engine import Engine
from splitopt.errors import InputError
from splitopt.storage.locks import Lock
from splitopt.storage.outputs import cannot_write, is_stream
from splitopt.storage.writing import check_writable

Report = Callable[[Row], None]


@dataclass(frozen=True)
class Remaining:
    """What a result file still lacks of a plan."""

    jobs: list[Job]
    done: list[Row]


def resume(jobs: Sequence[Job], output: Path | None) -> Remaining:
    """Return the jobs that a result file has no row for, and all the rows that it has.

    Nothing is written; a last line that was torn by an interruption counts as none.

    Raises
    ------
    InputError
        The file is not a result file, or its rows were made from other data or limits under the
        same keys: one file must hold comparable runs only.
    """
    if output is None:
        return Remaining(list(jobs), [])
    check_writable(output)
    if not output.exists():
        return Remaining(list(jobs), [])
    done = read_rows(output)
    rows = {row.key: row for row in done}
    for job in jobs:
        if job.key in rows:
            _check_same(job, rows[job.key], output)
    return Remaining([job for job in jobs if job.key not in rows], done)


def _check_same(job: Job, row: Row, output: Path) -> None:
    settings = job.settings
    expected = {
        "instance_digest": job.digest,
        "threads": settings.threads,
        "memory_limit_mib": settings.limits.memory_mib,
        "solver_version": job.solver_version,
    }
    for name, value in expected.items():
        if getattr(row, name) != value:
            raise InputError(
                f"{output}: the run of {job.entrant.name} on {job.instance.name} that it holds has "
                f"{name} {getattr(row, name)!r}, now it is {value!r}; write to another file"
            )


def run_jobs(
    jobs: Sequence[Job],
    engine: Engine,
    *,
    output: Path | None = None,
    table: Table | None = None,
    report: Report | None = None,
) -> list[Row]:
    """Run what is missing in the result file and return all rows of the plan, settled.

    Every run is a process of its own; its row is appended as soon as it is checked. The file is
    settled at the end, also after Ctrl-C, which kills what runs and is then raised again.

    Parameters
    ----------
    jobs
        The plan.
    engine
        Where runs are started: on this machine by threads, or on an engine that is there.
    output
        The result file, JSON lines; without it nothing is kept.
    table
        Best known values.
    report
        Called with every new row.

    Raises
    ------
    InputError
        See `resume`, and an engine that cannot be reached.
    InUseError
        Another benchmark writes into the same file.
    WriteError
        The disk is full or broken.
    """
    with nullcontext() if output is None or is_stream(output) else _only_one(output):
        return _run_jobs(jobs, engine, output, table, report)


def _only_one(output: Path) -> Lock:
    """Lock a result file: each benchmark writes the whole of it at its end."""
    check_writable(output)
    try:
        return Lock(output)
    except OSError as error:
        raise cannot_write(output, error) from None


def _run_jobs(
    jobs: Sequence[Job],
    engine: Engine,
    output: Path | None,
    table: Table | None,
    report: Report | None,
) -> list[Row]:
    remaining = resume(jobs, output)
    if output is not None and output.is_file():
        cut_torn_line(output)  # not before the lock: the line may be another run's, being written
    rows = list(remaining.done)
    wanted = {job.key for job in jobs}
    try:
        for row in _run(remaining.jobs, engine):
            rows.append(row)
            if output is not None:
                append_row(output, row)
            if report is not None:
                report(row)
    finally:
        settled = settle(rows, table or {})
        if output is not None and settled != remaining.done:
            write_rows(output, settled)
    return [row for row in settled if row.key in wanted]


def _run(jobs: Sequence[Job], engine: Engine) -> Iterator[Row]:
    for job in jobs:
        if job.skip is not None:
            yield skipped_row(job, job.skip)
    started = [job for job in jobs if job.skip is None]
    documents = [job.to_dict() for job in started]
    if engine.name not in ("threads", "sequential"):
        for index, raw in engine.as_completed(supervise, documents):
            assert raw is not None  # nobody stops a supervisor of another process
            yield _row(started[index], raw)
        return
    if not started:
        return
    supervisor = Supervisor(started[0].settings.limits)
    try:
        for index, raw in engine.as_completed(supervisor, documents):
            if raw is not None:
                yield _row(started[index], raw)
    finally:
        supervisor.stop()


def _row(job: Job, raw: RawRun) -> Row:
    """Check a run; what makes the check itself fail is the run's fault and costs its row only."""
    try:
        return checked_row(job, raw, job.load())
    except InputError:
        raise
    except Exception as error:
        message = f"its result cannot be checked ({type(error).__name__}: {error})"
        failed = RawRun(
            "crashed", message, raw.wall_s, raw.warmup_s, raw.peak_memory_mib, result=None
        )
        return checked_row(job, failed, job.load())
