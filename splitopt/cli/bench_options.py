"""The flags of ``splitopt bench``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

Names = list[str] | None


@dataclass(frozen=True)
class SelectionFlags:
    """What takes part in a benchmark."""

    suite: Annotated[
        str,
        typer.Option("--suite", metavar="NAME", help="quick, scaling, paper, full or stress."),
    ] = "quick"
    problems: Annotated[
        Names, typer.Option("--problems", metavar="NAME,...", help="Only these problems.")
    ] = None
    solvers: Annotated[
        Names,
        typer.Option(
            "--solvers",
            metavar="NAME[:KEY=VALUE...],...",
            help="Only these solvers, with options if any; all of them by default.",
        ),
    ] = None
    objectives: Annotated[
        Names, typer.Option("--objectives", metavar="NAME,...", help="Only these objectives.")
    ] = None


@dataclass(frozen=True)
class RunFlags:
    """How solvers are run, and within which limits."""

    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", metavar="N", min=1, help="Runs at once; 1 where times are to count."
        ),
    ] = None
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            metavar="NAME[=ADDRESS]",
            help="Where runs are started: threads, loky, dask=tcp://HOST:8786 or ray=auto.",
        ),
    ] = "threads"
    time_limit: Annotated[
        float | None,
        typer.Option(
            "--time-limit", metavar="S", min=0.0, help="Seconds per run; else the suite's."
        ),
    ] = None
    memory_limit: Annotated[
        float,
        typer.Option(
            "--memory-limit", metavar="MIB", min=1.0, help="Resident memory per run in MiB."
        ),
    ] = 4096.0
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds", metavar="N", min=1, help="Seeds 0 to N - 1; else the suite's number."
        ),
    ] = None
    threads: Annotated[
        int, typer.Option("--threads", metavar="N", min=1, help="Threads of a single run.")
    ] = 1


@dataclass(frozen=True)
class OutputFlags:
    """The files to write, None for those that are not wanted."""

    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="ROWS.jsonl",
            help="Append a row per run; runs that the file has already are not repeated.",
        ),
    ] = None
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="PAGE.html", help="Write a page about the rows."),
    ] = None


@dataclass(frozen=True)
class OtherFlags:
    """What is done instead of a benchmark, and the files that either needs."""

    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            "--compare", metavar="A.jsonl B.jsonl", help="Compare two result files instead."
        ),
    ] = None
    instances: Annotated[
        Path | None,
        typer.Option(
            "--instances", metavar="DIR", help="The instance library (benchmarks/instances)."
        ),
    ] = None
    solver_file: Annotated[
        list[Path] | None,
        typer.Option(
            "--solver-file", metavar="MINE.py", help="Your own solvers take part; repeatable."
        ),
    ] = None
    check_solver: Annotated[
        str | None,
        typer.Option(
            "--check-solver", metavar="NAME", help="Run the conformance suite on a solver."
        ),
    ] = None
    check: Annotated[
        Path | None,
        typer.Option("--check", metavar="ANSWER.json", help="Check a plan, result or decision."),
    ] = None
    instance: Annotated[
        str | None,
        typer.Option(
            "--instance", metavar="NAME_OR_PATH", help="The instance that --check is for."
        ),
    ] = None
    make_library: Annotated[
        Path | None,
        typer.Option("--make-library", metavar="DIR", help="Write the instance library anew."),
    ] = None
