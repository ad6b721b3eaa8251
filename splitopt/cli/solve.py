"""``splitopt solve``: an instance file to a result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splitopt.cli import options as shared
from splitopt.cli.flags import with_flags
from splitopt.cli.solving_options import RUN_ARGUMENTS, PlacementFlags, SolverFlags
from splitopt.errors import InputError
from splitopt.results import Result

if TYPE_CHECKING:
    from splitopt.problems.base import Problem

_SUFFIXES = (".json", ".npz", ".yaml", ".yml")
"""What ends in one of these is meant as a file, and not as a name."""


@with_flags
def command(
    instance: Annotated[
        Path, typer.Argument(metavar="INSTANCE.json", help="The instance: .json or .npz.")
    ],
    *,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="RESULT.json", help="Write the result.")
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option("--objective", metavar="NAME", help="Another objective than the file's."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--start",
            metavar="RESULT.json",
            help="A result of this or a similar instance: its decision is where the search "
            "begins, and its prices too, if the solver takes any.",
        ),
    ] = None,
    search: SolverFlags,
    place: PlacementFlags,
    as_json: shared.AsJson = False,
) -> int:
    """Solve an instance of any problem and say how far the answer is from the best.

    Example: splitopt solve instance.json --objective makespan -o result.json
    """
    from splitopt.driver import solve
    from splitopt.problems.registry import load_problem

    shared.check_outputs(instance, output)
    is_name = instance.name == str(instance) and instance.suffix not in _SUFFIXES
    if is_name and not instance.exists():
        raise _no_file(instance.name)
    problem = load_problem(instance)
    if objective is not None:
        problem = problem.with_objective(objective)
    arguments = search.arguments(place)
    if start is not None:
        arguments |= _warmth(start, problem, arguments)
    with shared.progress(silent=as_json) as callback:
        result = solve(problem, callback=callback, **arguments)
    if output is not None:
        result.save(output)
    if as_json:
        shared.print_json(result.to_dict())
    else:
        _print(result)
    return 0 if result.is_feasible else 1


def _warmth(file: Path, problem: Problem[Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Return what `splitopt.solve` is to start from: what a result file holds of use for it."""
    from splitopt.solvers.base import Solver
    from splitopt.solvers.registry import make_solver

    result = Result.load(file)
    if result.problem != problem.name:
        raise InputError(
            f"{file}: is a result of {result.problem}, and the instance is one of {problem.name}; "
            "start from a result of the same problem"
        )
    options = {key: value for key, value in arguments.items() if key not in RUN_ARGUMENTS}
    chosen: Solver[Any] = make_solver(problem, arguments["solver"], **options)
    prices = result.details.get("prices") if chosen.takes_prices and problem.priced else None
    found = {} if prices is None else {"prices": prices}
    if result.decision is None or (prices is not None and not chosen.can_start()):
        if not found:
            raise InputError(f"{file}: holds no decision to start from ({result.outcome})")
        return found
    return {"start": result.decision, **found}


def _no_file(name: str) -> InputError:
    """Return the error that says what a name is that leads to no file."""
    from splitopt.bench.instances.suites import named_instances
    from splitopt.documents.suggestions import did_you_mean
    from splitopt.scenario import scenario_names

    takes = "'splitopt solve' takes an instance file (.json or .npz)"
    if name in scenario_names():
        return InputError(
            f"{name}: is a shipped scenario, and {takes}; 'splitopt plan {name}' answers it"
        )
    instances = {item.name: item.file for item in named_instances()}
    file = instances.get(name)
    if file is not None:
        return InputError(f"{name}: {takes}; that of this instance is {file}")
    if name in instances:
        return InputError(
            f"{name}: is drawn anew by the suites of 'splitopt bench' and has no file; {takes}"
        )
    near = did_you_mean(name, (*scenario_names(), *instances))
    return InputError(f"{name}: there is no such file; {takes}{near}")


def _print(result: Result) -> None:
    from splitopt.report.numbers import gap

    typer.echo(f"{result.problem} ({result.objective_name}), solver {result.solver}")
    typer.echo(f"outcome    {result.outcome} ({result.stop_reason})")
    if result.message:
        typer.echo(f"message    {result.message}")
    if result.is_feasible:
        shown = result.to_dict()
        typer.echo(f"objective  {result.objective:.12g}")
        typer.echo(f"bound      {'unknown' if shown['bound'] is None else shown['bound']}")
        typer.echo(f"gap        {gap(shown['gap'])}")
        for name, value in shown["decision"].items():
            if name != "problem":
                typer.echo(f"{name:<10} {_short(value)}")
    typer.echo(f"time       {result.times.total_s:.3f} s, {result.iterations} iterations")


def _short(value: object, most: int = 12) -> str:
    """Write a list of the decision on one line; the whole of it is in the result file."""
    if not isinstance(value, list):
        return str(value)
    if value and isinstance(value[0], dict):
        return f"{len(value)} entries"
    shown = [f"{item:.6g}" if isinstance(item, float) else str(item) for item in value[:most]]
    rest = f" ... ({len(value)} in all)" if len(value) > most else ""
    return " ".join(shown) + rest
