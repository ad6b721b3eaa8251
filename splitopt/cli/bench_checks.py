"""``splitopt bench`` with another task than a benchmark: checks, comparisons, the library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from splitopt.cli import options as shared
from splitopt.errors import InputError

if TYPE_CHECKING:
    from splitopt.bench.checking.conformance import Check
    from splitopt.bench.entrants.entrant import Entrant
    from splitopt.cli.bench_options import Names


def write_library(folder: Path, time_limit: float | None, problems: Names) -> int:
    """Write the instance library anew, with best known values."""
    from splitopt.bench.checking.certification import make_library

    limit = 60.0 if time_limit is None else time_limit
    make_library(folder, time_limit_s=limit, report=typer.echo, problems=problems)
    return 0


def compare_files(files: tuple[Path, Path], as_json: bool) -> int:
    """Compare the rows of two files and show where they differ."""
    from splitopt.bench.reporting.comparison import compare
    from splitopt.bench.rows import read_rows

    first, second = (read_rows(path) for path in files)
    found = compare(first, second)
    if as_json:
        shared.print_json(found.to_dict())
    else:
        shared.console().print(found.to_terminal())
    return 0


def check_answer(
    path: Path, name: str | None, folder: Path | None, objectives: Names, as_json: bool
) -> int:
    """Check an answer to an instance and print the verdict; 1 if it is not accepted."""
    from splitopt.bench.checking.submissions import check_submission, read_submission
    from splitopt.bench.instances.stored import Library
    from splitopt.bench.instances.suites import find_instance
    from splitopt.documents.json_text import read_json

    if name is None:
        raise InputError("--check needs --instance, the name or path of the instance it is for")
    if objectives is not None and len(objectives) != 1:
        raise InputError("--check takes one objective")
    submission = read_submission(read_json(path), str(path))
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


def check_solver(
    text: str,
    problems: Names,
    files: list[Path],
    time_limit: float | None,
    threads: int,
    as_json: bool,
) -> int:
    """Run the conformance suite on a solver and print what failed; 1 if anything did."""
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
        shared.print_json([check.to_dict() for check in checks])
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
