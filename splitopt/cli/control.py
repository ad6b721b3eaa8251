"""``splitopt control``: one cut, and a plan for every round of a trace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitopt.cli import options as shared

if TYPE_CHECKING:
    from splitopt.planning.control.report import ControlReport


def command(
    scenario: Annotated[Path, typer.Argument(metavar="SCENARIO.yaml", help="The scenario file.")],
    trace: Annotated[
        Path | None,
        typer.Option("--trace", metavar="FILE.csv", help="Measured rounds; else they are drawn."),
    ] = None,
    rounds: Annotated[
        int | None, typer.Option("--rounds", metavar="R", min=1, help="Rounds; 20 if drawn.")
    ] = None,
    cut: Annotated[
        str | None, typer.Option("--cut", metavar="LAYER", help="A fixed cut instead of saa's.")
    ] = None,
    objective: Annotated[
        str,
        typer.Option("--objective", metavar="NAME", help="expected, or cvar: the worst tenth."),
    ] = "expected",
    policies: Annotated[
        str,
        typer.Option("--policies", metavar="NAME,...", help="What to compare with."),
    ] = "clairvoyant,static,random",
    delay: Annotated[
        int, typer.Option("--delay", metavar="N", min=0, help="Age of measurements in rounds.")
    ] = 0,
    swaps: Annotated[
        int, typer.Option("--swaps", metavar="N", min=1, help="Swaps that a round's plan may take.")
    ] = 3000,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE.csv", help="A row per round.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE.svg", help="Latency by round.")
    ] = None,
    option: shared.SolverOptions = None,
    time_limit: shared.TimeLimit = shared.DEFAULT_TIME_LIMIT_S,
    seed: shared.Seed = 0,
    engine: shared.EngineName = None,
    workers: shared.Workers = None,
    checkpoint: shared.CheckpointFolder = None,
    as_json: shared.AsJson = False,
) -> int:
    """Fix the cut under uncertainty, then plan every round anew, and compare with other policies.

    Example: splitopt control cell.yaml --trace rounds.csv -o latency.csv --plot latency.svg
    """
    from splitopt.distributions import read_trace
    from splitopt.planning.controller import Controller, measured_rounds
    from splitopt.scenario import Scenario
    from splitopt.scenario.varying import COMPUTE, SNR
    from splitopt.storage.writing import write_atomic

    shared.check_outputs(scenario, output, plot)
    given = Scenario.load(scenario)
    measured = None
    if trace is not None:
        measured = measured_rounds(read_trace(trace, (COMPUTE, SNR)), given)[:rounds]
    controller = Controller.start(
        given,
        cut=cut,
        objective=objective,
        swaps=swaps,
        seed=seed,
        time_limit_s=time_limit,
        **shared.placement(engine, workers, checkpoint),
        **shared.solver_options(option),
    )
    names = [name for name in policies.split(",") if name]
    drawn = measured is None
    chosen = controller.draw_rounds(rounds or 20) if measured is None else measured
    report = controller.replay(chosen, names, delay, drawn=drawn)
    if output is not None:
        write_atomic(output, report.to_csv())
    if plot is not None:
        from splitopt.report.control import latency_chart

        write_atomic(plot, latency_chart(report))
    if as_json:
        typer.echo(json.dumps(report.to_dict(), allow_nan=False))
    else:
        _print(report)
    return 0


def _print(report: ControlReport) -> None:
    from splitopt.report.numbers import seconds

    typer.echo(f"cut {report.cut}, {len(report.rounds)} rounds")
    for name, row in report.summary().items():
        sure = ""
        if "mean_low_s" in row:
            low, high = seconds(row["mean_low_s"]), seconds(row["mean_high_s"])
            sure = f" (of all rounds {low} to {high} s, 95 % confidence)"
        tail = ""
        if report.objective == "cvar":
            worst = f"{100 * (1 - report.cvar_level):g}"
            tail = f"worst {worst} % {seconds(row['cvar_s'])} s, "
        typer.echo(
            f"{name:<12} mean {seconds(row['mean_s'])} s{sure}, {tail}"
            f"most {seconds(row['most_s'])} s, "
            f"{100 * (row['relative'] - 1):+.2f} % against the controller"
        )
    median = report.to_dict()["plan_median_s"]
    if median is not None:
        typer.echo(f"planning a round took {1000 * median:.1f} ms (median)")
    for note in report.notes:
        typer.echo(f"note: {note}")
    if report.interrupted:
        typer.echo("interrupted: these are the rounds that were done")
