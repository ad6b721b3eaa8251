"""``splitopt train``: a plan, a model and data to trained weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitopt.cli import options as shared
from splitopt.cli.defence_options import DefenceFlags
from splitopt.cli.flags import with_flags
from splitopt.cli.invocation import expect_data, expect_model
from splitopt.cli.privacy_options import PrivacyFlags
from splitopt.cli.remembering_options import RememberingFlags
from splitopt.cli.training_options import OptimizerFlags, OwnProcessFlags, ScheduleFlags
from splitopt.cli.wire_options import WireFlags, report_measured
from splitopt.errors import INTERRUPTED, InputError, TrainingError
from splitopt.plans import Plan

if TYPE_CHECKING:
    from splitopt.training.history import History, RoundRow
    from splitopt.training.job import TrainingJob
    from splitopt.training.rounds.loop import Callback
    from splitopt.training.runner import Run
    from splitopt.training.schedule import Schedule


@dataclass(frozen=True)
class OutputFlags:
    """The files to write, None for those that are not wanted."""

    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE.csv", help="Write a row per round.")
    ] = None
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Accuracy and loss: .html, .svg or .png."),
    ] = None
    turns_csv: Annotated[
        Path | None,
        typer.Option(
            "--turns-csv", metavar="FILE.csv", help="Write a row per turn; with --test-after turn."
        ),
    ] = None
    save_model: Annotated[
        Path | None,
        typer.Option("--save-model", metavar="FILE.safetensors", help="Write the weights."),
    ] = None

    def check(self, source: Path, *others: Path | None) -> None:
        """Reject, before any work, what cannot be written, or two outputs in one file."""
        from splitopt.report.training import check_plot_path

        shared.check_outputs(source, self.csv, self.turns_csv, self.plot, self.save_model, *others)
        if self.plot is not None:
            check_plot_path(self.plot)

    def write(self, history: History, stopped: str, run: Run | None = None) -> None:
        """Write the weights of a run that did not fail, the rounds, and the plot."""
        if self.save_model is not None and run is not None:
            run.save_model(self.save_model)
        if self.csv is not None:
            from splitopt.storage.writing import write_atomic

            write_atomic(self.csv, history.to_csv())
        if self.turns_csv is not None:
            from splitopt.storage.writing import write_atomic

            write_atomic(self.turns_csv, history.turns_csv())
        if self.plot is not None:
            from splitopt.report.training import save_plot

            save_plot({"": history}, self.plot, stopped)


@with_flags
def command(
    plan: shared.PlanFile,
    job: OwnProcessFlags,
    optimizer: OptimizerFlags,
    privacy: PrivacyFlags,
    defence: DefenceFlags,
    remembering: RememberingFlags,
    schedule: ScheduleFlags,
    outputs: OutputFlags,
    wire: WireFlags,
    as_json: shared.AsJson = False,
) -> int:
    """Train a plan: real training, in the time that the plan predicts.

    With --wire every party is a process of its own, and the plan's time really passes.

    Example: splitopt train plan.json --data digits --rounds 20 --csv rounds.csv --plot rounds.html
    """
    outputs.check(plan, wire.timeline)
    if outputs.turns_csv is not None and schedule.test_after != "turn":
        raise InputError.at("--turns-csv", "needs --test-after turn; add it")
    wire.check(job, optimizer)
    with wire.telling():
        options = replace(
            optimizer.options(),
            privacy=privacy.privacy(),
            pixel_dp=defence.pixel_dp(),
            nopeek=defence.nopeek,
            remembering=remembering.remembering(),
        )
    read = Plan.load(plan)
    expect_model(read, job.model)
    expect_data(schedule.checkpoint if schedule.resume else None, read)
    try:
        given = job.job(read, plan, options)
        run = _trained(given, schedule.schedule(), wire, outputs.save_model, silent=as_json)
    except TrainingError as error:
        if error.history:
            outputs.write(error.history, "failed")
        raise
    if run is None:  # another process leads, and has the results
        return 0
    outputs.write(run.history, run.stopped, run)
    wire.save(run)
    if as_json:
        shared.print_json(run.to_dict())
    else:
        from splitopt.report.training import training_to_terminal

        shared.console().print(training_to_terminal(run.history, run.stopped))
        report_measured(run)
    if run.stopped != "interrupted":
        return 0
    if schedule.checkpoint is not None:
        typer.echo("--resume goes on from there.", err=True)
    return INTERRUPTED


def _trained(
    job: TrainingJob, schedule: Schedule, wire: WireFlags, model: Path | None, silent: bool
) -> Run | None:
    """Train in this process, or in those of a run over connections."""
    from splitopt.training.runner import train_job

    with progress(silent=silent) as callback:
        if wire.wire:
            return wire.train(job, schedule, callback, silent=silent, model=model)
        return train_job(job, schedule, callback)


@contextmanager
def progress(silent: bool) -> Iterator[Callback | None]:
    """Show a bar with the rounds that are done and the last test, on a terminal only."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    console = shared.live_console(silent)
    if console is None:
        yield None
        return
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        Remaining(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(row: RoundRow, rounds: int) -> None:
            tested = "" if row.accuracy is None else f", accuracy {100 * row.accuracy:.1f} %"
            if row.accuracy is None and row.test_loss is not None:
                tested = f", test loss {row.test_loss:.4f}"
            words = f"loss {row.loss:.4f}{tested}"
            bar.update(task, total=rounds, completed=row.round, description=words)

        yield show
