"""``splitopt bench``: compare solvers on fixed instances, check a solver, check an answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitopt.cli import options as shared
from splitopt.errors import InputError

if TYPE_CHECKING:
    from splitopt.bench.checking.conformance import Check
    from splitopt.bench.entrants.entrant import Entrant
    from splitopt.bench.instances.stored import Library
    from splitopt.bench.rows import Row
    from splitopt.bench.running.jobs import Job
    from splitopt.engine import Engine

Names = list[str] | None
_Suite = Annotated[
    str,
    typer.Option("--suite", metavar="NAME", help="quick, scaling, paper, full or stress."),
]
_Problems = Annotated[
    Names, typer.Option("--problems", metavar="NAME,...", help="Only these problems.")
]
_Solvers = Annotated[
    Names,
    typer.Option(
        "--solvers",
        metavar="NAME[:KEY=VALUE...],...",
        help="Only these solvers, with options if any; all of them by default.",
    ),
]
_Objectives = Annotated[
    Names, typer.Option("--objectives", metavar="NAME,...", help="Only these objectives.")
]
_Jobs = Annotated[
    int | None,
    typer.Option("--jobs", metavar="N", min=1, help="Runs at once; 1 where times are to count."),
]
_Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="NAME[=ADDRESS]",
        help="Where runs are started: threads, loky, dask=tcp://HOST:8786 or ray=auto.",
    ),
]
_TimeLimit = Annotated[
    float | None,
    typer.Option("--time-limit", metavar="S", min=0.0, help="Seconds per run; else the suite's."),
]
_MemoryLimit = Annotated[
    float,
    typer.Option("--memory-limit", metavar="MIB", min=1.0, help="Resident memory per run in MiB."),
]
_Seeds = Annotated[
    int | None,
    typer.Option("--seeds", metavar="N", min=1, help="Seeds 0 to N - 1; else the suite's number."),
]
_Threads = Annotated[
    int, typer.Option("--threads", metavar="N", min=1, help="Threads of a single run.")
]
_Output = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="ROWS.jsonl",
        help="Append a row per run; runs that the file has already are not repeated.",
    ),
]
_Report = Annotated[
    Path | None, typer.Option("--report", metavar="PAGE.html", help="Write a page about the rows.")
]
_Compare = Annotated[
    tuple[Path, Path] | None,
    typer.Option("--compare", metavar="A.jsonl B.jsonl", help="Compare two result files instead."),
]
_Instances = Annotated[
    Path | None,
    typer.Option("--instances", metavar="DIR", help="The instance library (benchmarks/instances)."),
]
_SolverFile = Annotated[
    list[Path] | None,
    typer.Option(
        "--solver-file", metavar="MINE.py", help="Your own solvers take part; repeatable."
    ),
]
_CheckSolver = Annotated[
    str | None,
    typer.Option("--check-solver", metavar="NAME", help="Run the conformance suite on a solver."),
]
_Check = Annotated[
    Path | None,
    typer.Option("--check", metavar="ANSWER.json", help="Check a plan, result or decision."),
]
_Instance = Annotated[
    str | None,
    typer.Option("--instance", metavar="NAME_OR_PATH", help="The instance that --check is for."),
]
_MakeLibrary = Annotated[
    Path | None,
    typer.Option("--make-library", metavar="DIR", help="Write the instance library anew."),
]


def command(
    suite: _Suite = "quick",
    problems: _Problems = None,
    solvers: _Solvers = None,
    objectives: _Objectives = None,
    jobs: _Jobs = None,
    engine: _Engine = "threads",
    time_limit: _TimeLimit = None,
    memory_limit: _MemoryLimit = 4096.0,
    seeds: _Seeds = None,
    threads: _Threads = 1,
    output: _Output = None,
    report: _Report = None,
    compare: _Compare = None,
    instances: _Instances = None,
    solver_file: _SolverFile = None,
    check_solver: _CheckSolver = None,
    check: _Check = None,
    instance: _Instance = None,
    make_library: _MakeLibrary = None,
    as_json: shared.AsJson = False,
) -> int:
    """Compare solvers on fixed instances, every run in its own process and checked.

    Example: splitopt bench --suite quick -o quick.jsonl --report quick.html
    """
    files = solver_file or []
    if compare is not None:
        return _compare(compare, as_json)
    if check is not None:
        return _check(check, instance, instances, _split(objectives), as_json)
    if check_solver is not None:
        return _check_solver(check_solver, _split(problems), files, time_limit, threads, as_json)
    if make_library is not None:
        return _make_library(make_library, time_limit, _split(problems))
    from splitopt.bench.instances.suites import find_suite, suite_instances
    from splitopt.bench.running.jobs import Settings, plan_jobs
    from splitopt.bench.running.machine import available_cores
    from splitopt.bench.running.supervisor import Limits
    from splitopt.engine import Engine
    from splitopt.storage.writing import check_writable

    for target in (output, report):
        if target is not None:
            check_writable(target)
    chosen = find_suite(suite)
    workers = jobs or (max(1, available_cores() // threads) if chosen.parallel else 1)
    where = Engine.parse(engine, workers)
    library = _library(instances, chosen.needs_library)
    plan = plan_jobs(
        chosen.name,
        suite_instances(chosen, _split(problems), library),
        Settings(
            chosen.time_limit_s if time_limit is None else time_limit,
            tuple(range(seeds or chosen.seeds)),
            threads,
            Limits(memory_mib=memory_limit),
        ),
        solvers=_split(solvers),
        objectives=_split(objectives),
        solver_files=files,
    )
    rows = _run(plan, where, output, library, as_json)
    return _conclude(rows, report, as_json)


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
        typer.echo(json.dumps([row.to_dict() for row in rows], allow_nan=False))
    else:
        from splitopt.bench.reporting.terminal import print_report

        print_report(rows, shared.console())
    return 1 if any(row.status in ("lied", "crashed") for row in rows) else 0


def _make_library(folder: Path, time_limit: float | None, problems: Names) -> int:
    from splitopt.bench.checking.certification import make_library

    limit = 60.0 if time_limit is None else time_limit
    make_library(folder, time_limit_s=limit, report=typer.echo, problems=problems)
    return 0


def _compare(files: tuple[Path, Path], as_json: bool) -> int:
    from splitopt.bench.reporting.comparison import compare
    from splitopt.bench.rows import read_rows

    first, second = (read_rows(path) for path in files)
    found = compare(first, second)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), allow_nan=False))
    else:
        shared.console().print(found.to_terminal())
    return 0


def _check(
    path: Path, name: str | None, folder: Path | None, objectives: Names, as_json: bool
) -> int:
    from splitopt.bench.checking.submissions import check_submission, read_submission
    from splitopt.bench.instances.stored import Library
    from splitopt.bench.instances.suites import find_instance
    from splitopt.documents.json_text import parse_json
    from splitopt.documents.reading import read_text

    if name is None:
        raise InputError("--check needs --instance, the name or path of the instance it is for")
    if objectives is not None and len(objectives) != 1:
        raise InputError("--check takes one objective")
    submission = read_submission(parse_json(read_text(path), str(path)), str(path))
    instance = find_instance(name, folder)
    try:
        table = Library.find(folder).best_known
    except InputError:
        if folder is not None:
            raise
        table = {}
    objective = objectives[0] if objectives else None
    verdict = check_submission(submission, instance, objective, table)
    typer.echo(json.dumps(vars(verdict)) if as_json else verdict.sentence)
    return 0 if verdict.accepted else 1


def _check_solver(
    text: str,
    problems: Names,
    files: list[Path],
    time_limit: float | None,
    threads: int,
    as_json: bool,
) -> int:
    from splitopt.bench.checking.conformance import iterate_checks

    checks: list[Check] = []
    for entrant in _entrants(text, problems, files):
        found = iterate_checks(
            entrant, time_limit_s=2.0 if time_limit is None else time_limit, threads=threads
        )
        for check in found:
            checks.append(check)
            if not as_json and check.status == "failed":
                where = f"{check.instance} {check.objective}"
                typer.echo(f"failed   {check.name} ({where}): {check.message}")
    failed = sum(check.status == "failed" for check in checks)
    if as_json:
        typer.echo(json.dumps([check.to_dict() for check in checks], allow_nan=False))
    else:
        _summarise(checks)
    return 1 if failed else 0


def _entrants(text: str, problems: Names, files: list[Path]) -> list[Entrant]:
    """Find the solver under its name among the problems that have a benchmark."""
    from splitopt.bench.entrants.entrant import parse_entrants
    from splitopt.bench.instances.benchmark import benchmark_problems

    found: list[Entrant] = []
    errors: list[InputError] = []
    for problem in problems or benchmark_problems():
        try:
            found += parse_entrants(problem, [text], files)
        except InputError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    return found


def _summarise(checks: list[Check]) -> None:
    """Print each check with how often it passed, and why it was skipped."""
    for name in dict.fromkeys(check.name for check in checks):
        same = [check for check in checks if check.name == name]
        counts = [
            f"{sum(check.status == status for check in same)} {status}"
            for status in ("passed", "failed", "skipped")
        ]
        reasons = {check.message for check in same if check.status == "skipped"}
        why = f" ({'; '.join(sorted(reasons))})" if reasons else ""
        typer.echo(f"{name}: {', '.join(counts)}{why}")
    failed = sum(check.status == "failed" for check in checks)
    typer.echo("conforms" if failed == 0 else f"does not conform: {failed} checks failed")
