"""``splitopt validate``: what a plan predicted against what real processes take."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitopt.cli import options as shared
from splitopt.cli.flags import with_flags
from splitopt.cli.invocation import expect_model
from splitopt.cli.training_options import JobFlags, ServingFlags
from splitopt.cli.wire_options import PaceFlags, report_scale
from splitopt.errors import INTERRUPTED, InfeasibleError
from splitopt.plans import Plan
from splitopt.training.schedule import Schedule

if TYPE_CHECKING:
    from splitopt.training.validation.measured import Measured
    from splitopt.training.wire.setting import AtScale

HOLDS_WITHIN = 25.0
"""Per cent that the median step or the round of a plan that holds may be off on a busy host."""


@dataclass(frozen=True)
class LengthFlags:
    """How much of a plan is run."""

    rounds: Annotated[
        int, typer.Option("--rounds", metavar="N", min=1, help="How many rounds to run.")
    ] = 1
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps", metavar="N", min=1, help="At most so many mini-batches of each device."
        ),
    ] = None


@dataclass(frozen=True)
class OutputFlags:
    """The files to write, None for those that are not wanted."""

    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="PAGE.html", help="Write a page with both Gantt charts."),
    ] = None
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="TIMELINE.json", help="Write what was measured."),
    ] = None
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE.csv", help="Write a row per measured task."),
    ] = None

    def write(self, found: Measured) -> None:
        """Write the measured timeline, its rows, and the page."""
        from splitopt.storage.writing import write_atomic

        if self.output is not None:
            found.measured.save(self.output)
        if self.csv is not None:
            write_atomic(self.csv, found.measured.to_csv())
        if self.report is not None:
            from splitopt.report.validation import measured_to_html

            write_atomic(self.report, measured_to_html(found))


@with_flags
def command(
    plan: shared.PlanFile,
    job: JobFlags,
    serving: ServingFlags,
    length: LengthFlags,
    pace: PaceFlags,
    outputs: OutputFlags,
    fed_server: Annotated[
        bool,
        typer.Option(
            "--fed-server",
            help="With a process more that averages the client parts of SplitFedV1.",
        ),
    ] = False,
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
    as_json: shared.AsJson = False,
) -> int:
    """Run a plan with a process for each party, and hold what it predicts against what happens.

    Example: splitopt validate plan.json --report measured.html
    """
    from splitopt.training.validation.measuring import validate_job

    shared.check_outputs(plan, outputs.report, outputs.output, outputs.csv)
    read = Plan.load(plan)
    expect_model(read, job.model)
    schedule = Schedule(length.rounds, evaluate_every=length.rounds)
    with _scale_reported(silent=as_json) as at_scale:
        found = validate_job(
            job.job(read, plan, replace(serving.options(), fed_server=fed_server)),
            schedule,
            pace.options(at_scale),
            steps=length.steps,
        )
    outputs.write(found)
    if as_json:
        shared.print_json(found.to_dict())
    else:
        from splitopt.report.validation import measured_to_terminal

        shared.console().print(measured_to_terminal(found))
    if found.stopped == "interrupted":
        return INTERRUPTED
    if within is None:
        within = math.inf if pace.any_speed else HOLDS_WITHIN
    if within < math.inf and (why := found.refuted(within / 100)):
        raise InfeasibleError(
            f"{plan}: the plan does not hold within {within:g} %: {'; '.join(why)}"
        )
    return 0


@contextmanager
def _scale_reported(silent: bool) -> Iterator[AtScale | None]:
    """Report what is going on and how long a round takes, on a terminal in a line that goes away.

    The block gets the function to call with the time scale and the seconds of a round.
    """
    console = shared.live_console(silent)
    if console is None:
        yield None if silent else report_scale
        return
    with console.status("reading the plan, and measuring this host ...") as status:

        def tell(scale: float, round_s: float) -> None:
            status.update(
                f"starting processes; then a round of {round_s:.4g} s takes "
                f"{scale * round_s:.3g} s (time scale {scale:g}) ..."
            )

        yield tell
