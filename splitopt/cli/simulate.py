"""``splitopt simulate``: a plan file event by event."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitopt.cli import options as shared

if TYPE_CHECKING:
    from splitopt.simulation.replay import Replay


def command(
    plan: shared.PlanFile,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="TIMELINE.json", help="Write every task."),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE.csv", help="Write a row per task.")
    ] = None,
    gantt: Annotated[
        Path | None,
        typer.Option("--gantt", metavar="FILE", help="Draw a Gantt chart: .html, .svg or .png."),
    ] = None,
    start: Annotated[
        float | None, typer.Option("--from", metavar="S", help="Where the chart begins.")
    ] = None,
    end: Annotated[
        float | None, typer.Option("--to", metavar="S", help="Where the chart ends.")
    ] = None,
    noise: Annotated[
        float,
        typer.Option("--noise", metavar="SD", min=0.0, help="Relative deviation of every task."),
    ] = 0.0,
    seed: shared.Seed = 0,
    slow: Annotated[
        str | None,
        typer.Option(
            "--slow",
            metavar="NAMES",
            help="Of a plan for slow devices: those that are slow, A,B,..., or 'worst'.",
        ),
    ] = None,
    as_json: shared.AsJson = False,
) -> int:
    """Replay a plan event by event: who is busy, what sets the pace, and how far models are off.

    Example: splitopt simulate plan.json --gantt gantt.html
    """
    from splitopt.planning.replaying import simulate
    from splitopt.plans import Plan
    from splitopt.report.gantt import check_gantt_path, save_gantt
    from splitopt.simulation.slow_devices import WORST

    shared.check_outputs(plan, output, csv, gantt)
    if gantt is not None:
        check_gantt_path(gantt)
    saved = Plan.load(plan)
    chosen = slow if slow in (None, WORST) else str(slow).split(",")
    replay = simulate(saved, noise=noise, seed=seed, slow=chosen, source=str(plan))
    if gantt is not None:
        save_gantt(replay, gantt, start, end, saved.scenario["name"])
    if output is not None:
        replay.timeline.save(output)
    if csv is not None:
        from splitopt.storage.writing import write_atomic

        write_atomic(csv, replay.timeline.to_csv())
    if as_json:
        shared.print_json(replay.to_dict())
    else:
        _print(replay)
    return 0


def _print(replay: Replay) -> None:
    from splitopt.report.gantt import error_text, usage_rows
    from splitopt.report.numbers import seconds

    console = shared.console()
    typer.echo(f"Simulated {replay.span}: {seconds(replay.simulated_s)} s")
    typer.echo(f"Sets the pace: {replay.binding}")
    for label, value in replay.facts:
        typer.echo(f"{label}: {value}")
    forecasts = [
        (item.model, seconds(item.seconds), error_text(replay, item)) for item in replay.forecasts
    ]
    models = ("Model", "Seconds", "Against simulation")
    console.print(shared.table(models, forecasts, numbers=models[1:]))
    keys = ("resource", "kind", "busy", "utilisation", "tasks")
    used = [[row[key] for key in keys] for row in usage_rows(replay.timeline)]
    headings = ("Resource", "Kind", "Busy s", "Utilisation", "Tasks")
    console.print(shared.table(headings, used, numbers=headings[2:]))
