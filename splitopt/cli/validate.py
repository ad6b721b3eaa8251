"""``splitopt validate``: what a plan predicted against what real processes take."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitopt.cli import options as shared
from splitopt.cli import training_options as given
from splitopt.cli import wire_options as wired
from splitopt.cli.asked import expect_model
from splitopt.cli.entry import INTERRUPTED

if TYPE_CHECKING:
    from splitopt.training.wire.launch import AtScale

HOLDS_WITHIN = 25.0
"""Per cent that the median step or the round of a plan that holds may be off on a busy host."""


def command(
    plan: Annotated[Path, typer.Argument(metavar="PLAN.json", help="A plan file.")],
    model: given.Model = None,
    stages: shared.Stages = None,
    data: given.Data = "digits",
    partition: given.Partition = "iid",
    samples: given.SampleCounts = "plan",
    match: given.Match = "structure",
    rounds: Annotated[
        int, typer.Option("--rounds", metavar="N", min=1, help="How many rounds to run.")
    ] = 1,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps", metavar="N", min=1, help="At most so many mini-batches of each device."
        ),
    ] = None,
    time_scale: wired.TimeScale = None,
    any_speed: wired.AnySpeed = False,
    namespaces: wired.InNamespaces = False,
    deadline: wired.DeadlineText = None,
    seed: shared.Seed = 0,
    within: Annotated[
        float | None,
        typer.Option(
            "--within",
            metavar="PERCENT",
            min=0.0,
            help="End with exit code 1 if the median step or the round is off by more, or bytes "
            "differ; 25 by default, and 'inf', whatever is measured, with --any-speed.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="PAGE.html", help="Write a page with both Gantt charts."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="TIMELINE.json", help="Write what was measured."),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE.csv", help="Write a row per measured task."),
    ] = None,
    as_json: shared.AsJson = False,
) -> int:
    """Run a plan with a process for each party, and hold what it predicts against what happens.

    Example: splitopt validate plan.json --report measured.html
    """
    from splitopt.errors import InfeasibleError
    from splitopt.plans import Plan
    from splitopt.storage.writing import write_atomic
    from splitopt.training.validation.measuring import validate

    shared.check_outputs(plan, report, output, csv)
    read = Plan.load(plan)
    expect_model(read, model)
    with _told(silent=as_json) as at_scale:
        found = validate(
            read,
            model,
            data,
            partition=partition,
            samples=samples,
            stages=shared.stage_names(stages),
            match=match,
            rounds=rounds,
            steps=steps,
            time_scale=time_scale,
            any_speed=any_speed,
            namespaces=namespaces,
            deadline=deadline,
            seed=seed,
            at_scale=at_scale,
            source=str(plan),
        )
    if output is not None:
        found.measured.save(output)
    if csv is not None:
        write_atomic(csv, found.measured.to_csv())
    if report is not None:
        from splitopt.report.validation import measured_to_html

        write_atomic(report, measured_to_html(found))
    if as_json:
        typer.echo(json.dumps(found.to_dict(), allow_nan=False))
    else:
        from splitopt.report.validation import measured_to_terminal

        shared.console().print(measured_to_terminal(found))
    if found.stopped == "interrupted":
        return INTERRUPTED
    if within is None:
        within = math.inf if any_speed else HOLDS_WITHIN
    if within < math.inf and (why := found.refuted(within / 100)):
        raise InfeasibleError(
            f"{plan}: the plan does not hold within {within:g} %: {'; '.join(why)}"
        )
    return 0


@contextmanager
def _told(silent: bool) -> Iterator[AtScale | None]:
    """Say what is going on and how long a round takes; on a terminal in one line that goes away."""
    from rich.console import Console

    console = Console(stderr=True)
    if silent or not console.is_terminal:
        yield None if silent else wired.say_scale
        return
    with console.status("reading the plan, and measuring this host ...") as status:

        def tell(scale: float, round_s: float) -> None:
            status.update(
                f"starting processes; then a round of {round_s:.4g} s takes "
                f"{scale * round_s:.3g} s (time scale {scale:g}) ..."
            )

        yield tell
