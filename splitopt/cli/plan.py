"""``splitopt plan``: a scenario file to a certified plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from splitopt.cli import options as shared


def command(
    scenario: Annotated[Path, typer.Argument(metavar="SCENARIO.yaml", help="The scenario file.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="PLAN.json", help="Write the plan.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="PAGE.html", help="Write a page about it.")
    ] = None,
    problem: Annotated[
        str | None,
        typer.Option(
            "--problem",
            metavar="NAME",
            help="The question to ask; by default the one that the scenario's sections belong to.",
        ),
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            "--objective",
            metavar="NAME",
            help="Of cut_and_resources: sum (default), makespan, energy, latency_energy; of "
            "pipeline_partition: round (default), period, epoch, paper.",
        ),
    ] = None,
    pareto: Annotated[
        bool,
        typer.Option(
            "--pareto",
            help="Of the compute nodes, every mix that no other beats in both delay and cost.",
        ),
    ] = False,
    boundaries: Annotated[
        str | None,
        typer.Option(
            "--boundaries",
            metavar="KIND",
            help="Where a pipeline may cut a model that was measured as a graph: prefixes (behind "
            "every operator, default) or cuts (where one tensor crosses).",
        ),
    ] = None,
    solver: shared.SolverName = "auto",
    option: shared.SolverOptions = None,
    time_limit: shared.TimeLimit = shared.DEFAULT_TIME_LIMIT_S,
    gap: shared.RelGap = 1e-9,
    seed: shared.Seed = 0,
    engine: shared.EngineName = None,
    workers: shared.Workers = None,
    checkpoint: shared.CheckpointFolder = None,
    as_json: shared.AsJson = False,
) -> int:
    """Plan a scenario: who cuts where and gets what, how long a round takes, and why.

    Example: splitopt plan fleet.yaml -o plan.json --report plan.html
    """
    from splitopt.planning.planner import plan
    from splitopt.scenario import Scenario

    shared.check_outputs(scenario, output, report)
    given = Scenario.load(scenario)
    if boundaries is not None:
        given = given.with_boundaries(boundaries)
    if pareto:
        from splitopt.cli.pareto import show

        return show(given, problem, objective, solver, option, output, report, as_json)
    with shared.progress(silent=as_json) as callback:
        made = plan(
            given,
            problem=problem,
            objective=objective,
            solver=solver,
            time_limit_s=time_limit,
            rel_gap=gap,
            seed=seed,
            callback=callback,
            **shared.placement(engine, workers, checkpoint),
            **shared.solver_options(option),
        )
    if output is not None:
        made.save(output)
    if report is not None:
        from splitopt.report.page import plan_to_html
        from splitopt.storage.writing import write_atomic

        write_atomic(report, plan_to_html(made))
    if as_json:
        typer.echo(json.dumps(made.to_dict(), allow_nan=False))
    else:
        from splitopt.report.terminal import plan_to_terminal

        shared.console().print(plan_to_terminal(made))
    return 0 if made.is_feasible else 1
