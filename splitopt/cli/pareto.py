"""``splitopt plan --pareto``: which machines to rent, delay against cost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from splitopt.cli import options as shared
from splitopt.errors import InfeasibleError, InputError
from splitopt.scenario import Scenario
from splitopt.solvers.base import Solver
from splitopt.storage.writing import write_atomic

_HEAD = {"format": "splitopt-pareto", "version": 1}
PROBLEM, OBJECTIVE = "pipeline_partition", "round"


def show(
    scenario: Scenario,
    problem: str | None,
    objective: str | None,
    solver: str,
    option: list[str] | None,
    output: Path | None,
    report: Path | None,
    as_json: bool,
) -> int:
    """Find the delay-cost set of a scenario's compute nodes, and write and show it."""
    from splitopt.planning.pipelines.pareto import ParetoSet, scenario_pareto
    from splitopt.planning.pipelines.round_cuts import with_round_cuts
    from splitopt.report.pareto import pareto_to_html, pareto_to_terminal

    _check(scenario, problem, objective)
    chosen = _with_options(solver, option)
    profile = scenario.load_model()
    found: ParetoSet | None = None
    answer: dict[str, Any] = {"outcome": "optimal", "message": None}
    try:
        scenario, _ = with_round_cuts(scenario, profile, OBJECTIVE)
        with _progress(silent=as_json) as progress:
            found = scenario_pareto(scenario, profile, solver=chosen, progress=progress)
        answer |= found.to_dict()
    except InfeasibleError as error:
        answer = {**_HEAD, "outcome": "infeasible", "message": str(error), "points": []}
    document = json.dumps(answer, indent=1, allow_nan=False)
    if output is not None:
        write_atomic(output, document + "\n")
    if as_json:
        typer.echo(document)
    if found is None:
        if not as_json:
            typer.echo(f"No mix (infeasible): {answer['message']}")
        return 1
    if report is not None:
        write_atomic(report, pareto_to_html(found, scenario))
    if not as_json:
        shared.console().print(pareto_to_terminal(found, scenario))
    return 0


def _check(scenario: Scenario, problem: str | None, objective: str | None) -> None:
    """Reject a scenario without compute nodes, and any other question."""
    for name, stated, only in (("problem", problem, PROBLEM), ("objective", objective, OBJECTIVE)):
        if stated not in (None, only):
            raise InputError(
                f"--{name} is {stated!r}, but --pareto is about {only!r}; leave it out"
            )
    if not scenario.nodes:
        raise InputError(
            "nodes: there are none, and --pareto is about the compute nodes to rent; for a fleet "
            "'splitopt tradeoff' has time against leakage or slow devices, and "
            "'splitopt compare --sweep energy.limit_joule=...' time against energy"
        )


def _with_options(solver: str, option: list[str] | None) -> str | Solver[Any]:
    """Return a solver with its options, or the name "auto", which takes none."""
    from splitopt.solvers.registry import solver_class, with_options

    options = shared.solver_options(option)
    if options and solver == "auto":
        raise InputError("--option needs --solver, whose options they are")
    return solver if solver == "auto" else with_options(solver_class(PROBLEM, solver), options)


@contextmanager
def _progress(silent: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Show how many mixes are settled, on a terminal only."""
    console = shared.live_console(silent)
    if console is None:
        yield None
        return
    with console.status("settling mixes ...") as status:
        yield lambda done, mixes: status.update(f"settling mixes: {done:,} of {mixes:,}")
