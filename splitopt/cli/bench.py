"""``splitopt bench``: compare solvers on fixed instances, check a solver, check an answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from splitopt.cli import bench_checks as checks
from splitopt.cli import options as shared
from splitopt.cli.bench_options import Names, OtherFlags, OutputFlags, RunFlags, SelectionFlags
from splitopt.cli.flags import with_flags

if TYPE_CHECKING:
    from splitopt.bench.instances.stored import Library
    from splitopt.bench.instances.suites import Suite
    from splitopt.bench.rows import Row
    from splitopt.bench.running.jobs import Job, Settings
    from splitopt.engine import Engine


@with_flags
def command(
    selection: SelectionFlags,
    runs: RunFlags,
    outputs: OutputFlags,
    other: OtherFlags,
    as_json: shared.AsJson = False,
) -> int:
    """Compare solvers on fixed instances, every run in its own process and checked.

    Example: splitopt bench --suite quick -o quick.jsonl --report quick.html
    """
    problems, files = _split(selection.problems), other.solver_file or []
    limit_s = runs.time_limit
    if other.compare is not None:
        return checks.compare_files(other.compare, as_json)
    if other.check is not None:
        objectives = _split(selection.objectives)
        return checks.check_answer(
            other.check, other.instance, other.instances, objectives, as_json
        )
    if other.check_solver is not None:
        return checks.check_solver(
            other.check_solver, problems, files, limit_s, runs.threads, as_json
        )
    if other.make_library is not None:
        return checks.write_library(other.make_library, limit_s, problems)
    return _benchmark(selection, runs, outputs, other, as_json)


def _benchmark(
    selection: SelectionFlags,
    runs: RunFlags,
    outputs: OutputFlags,
    other: OtherFlags,
    as_json: bool,
) -> int:
    """Run what is left of a suite, write its rows and report on all of them."""
    from splitopt.bench.instances.suites import find_suite, suite_instances
    from splitopt.bench.running.jobs import plan_jobs
    from splitopt.bench.running.machine import available_cores
    from splitopt.engine import Engine
    from splitopt.storage.writing import check_writable

    for target in (outputs.output, outputs.report):
        if target is not None:
            check_writable(target)
    suite = find_suite(selection.suite)
    at_once = max(1, available_cores() // runs.threads) if suite.parallel else 1
    engine = Engine.parse(runs.engine, runs.jobs or at_once)
    library = _library(other.instances, suite.needs_library)
    jobs = plan_jobs(
        suite.name,
        suite_instances(suite, _split(selection.problems), library),
        _settings(suite, runs),
        solvers=_split(selection.solvers),
        objectives=_split(selection.objectives),
        solver_files=other.solver_file or [],
    )
    rows = _run(jobs, engine, outputs.output, library, as_json)
    return _conclude(rows, outputs.report, as_json)


def _settings(suite: Suite, runs: RunFlags) -> Settings:
    """Return the limits of every run: the suite's, where none is given."""
    from splitopt.bench.running.jobs import Settings
    from splitopt.bench.running.supervisor import Limits

    return Settings(
        suite.time_limit_s if runs.time_limit is None else runs.time_limit,
        tuple(range(runs.seeds or suite.seeds)),
        runs.threads,
        Limits(memory_mib=runs.memory_limit),
    )


def _split(texts: Names) -> Names:
    """Read ``--solvers a,b --solvers c`` as three names; without the option, None."""
    if not texts:
        return None
    names = [name.strip() for text in texts for name in text.split(",")]
    return list(dict.fromkeys(name for name in names if name))


def _library(folder: Path | None, needed: bool) -> Library | None:
    """Read the library where the suite needs it or the user names it."""
    from splitopt.bench.instances.stored import Library

    return Library.find(folder) if needed or folder is not None else None


def _run(
    plan: list[Job], where: Engine, output: Path | None, library: Library | None, silent: bool
) -> list[Row]:
    from rich.console import Console

    from splitopt.bench.running.progress import show_progress
    from splitopt.bench.running.runner import resume, run_jobs

    console = Console(stderr=True, quiet=silent)
    left = len(resume(plan, output).jobs)
    if left < len(plan):
        console.print(f"{output}: has {len(plan) - left} of {len(plan)} runs, {left} are left")
    table = {} if library is None else library.best_known
    try:
        with show_progress(left, console) as show:
            return run_jobs(plan, where, output=output, table=table, report=show)
    except KeyboardInterrupt:
        if output is not None:
            typer.echo(f"stopped; the same command goes on where {output} ends", err=True)
        raise


def _conclude(rows: list[Row], report: Path | None, as_json: bool) -> int:
    """Show and write the report; 1 if a run made a false claim or crashed."""
    if report is not None:
        from splitopt.bench.reporting.page import rows_to_html
        from splitopt.storage.writing import write_atomic

        write_atomic(report, rows_to_html(rows))
    if as_json:
        shared.print_json([row.to_dict() for row in rows])
    else:
        from splitopt.bench.reporting.terminal import print_report

        print_report(rows, shared.console())
    return 1 if any(row.status in ("lied", "crashed") for row in rows) else 0
