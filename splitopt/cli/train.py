"""``splitopt train``: a plan, a model and data to trained weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splitopt.cli import options as shared
from splitopt.cli import training_options as given
from splitopt.cli import wire_options as wired
from splitopt.cli.asked import expect_data, expect_model
from splitopt.cli.entry import INTERRUPTED
from splitopt.errors import TrainingError

if TYPE_CHECKING:
    from splitopt.training.history import History, RoundRow
    from splitopt.training.loop import Callback
    from splitopt.training.runner import Run


def command(
    plan: Annotated[Path, typer.Argument(metavar="PLAN.json", help="A plan file.")],
    model: given.Model = None,
    stages: shared.Stages = None,
    data: given.Data = "digits",
    partition: given.Partition = "iid",
    samples: given.SampleCounts = "plan",
    scheme: given.SchemeName = None,
    match: given.Match = "structure",
    rounds: given.Rounds = None,
    lr: given.LearningRate = 0.05,
    server_lr: given.ServerLearningRate = None,
    optimizer: given.Optimizer = "sgd",
    momentum: given.Momentum = 0.0,
    weight_decay: given.WeightDecay = 0.0,
    batch_norm: given.BatchNorm = "average",
    optimizer_state: given.OptimizerState = "reset",
    cut_gradient: given.CutGradient = "mean",
    weights: given.Weights = "samples",
    order: given.Order = "given",
    batched: given.Batched = False,
    seed: shared.Seed = 0,
    device: given.TorchDevice = "cpu",
    evaluate_every: given.EvaluateEvery = 1,
    target_accuracy: given.TargetAccuracy = None,
    patience: given.Patience = None,
    checkpoint: given.StateFolder = None,
    checkpoint_every: given.CheckpointEvery = 1,
    resume: given.Resume = False,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE.csv", help="Write a row per round.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Accuracy and loss: .html, .svg or .png."),
    ] = None,
    save_model: Annotated[
        Path | None,
        typer.Option("--save-model", metavar="FILE.safetensors", help="Write the weights."),
    ] = None,
    wire: wired.Wire = False,
    time_scale: wired.TimeScale = None,
    any_speed: wired.AnySpeed = False,
    namespaces: wired.InNamespaces = False,
    deadline: wired.DeadlineText = None,
    rank: wired.RankNumber = None,
    world_size: wired.WorldSize = None,
    master: wired.Master = None,
    listen: wired.Listen = None,
    token_file: wired.TokenFile = None,
    tls_cert: wired.TlsCertificate = None,
    tls_key: wired.TlsKey = None,
    tls_ca: wired.TlsAuthority = None,
    no_tls: wired.NoTls = False,
    join_within: wired.JoinWithin = None,
    timeline: wired.TimelineFile = None,
    as_json: shared.AsJson = False,
) -> int:
    """Train a plan: real training, in the time that the plan predicts.

    With --wire every party is a process of its own, and the plan's time really passes.

    Example: splitopt train plan.json --data digits --rounds 20 --csv rounds.csv --plot rounds.html
    """
    from splitopt.plans import Plan
    from splitopt.training.runner import train

    outputs = _Outputs(csv, plot, save_model)
    outputs.check(plan, timeline)
    flags = wired.WireFlags(
        wire,
        time_scale,
        any_speed,
        namespaces,
        deadline,
        rank,
        world_size,
        master,
        listen,
        token_file,
        tls_cert,
        tls_key,
        tls_ca,
        no_tls,
        join_within,
        timeline,
    )
    flags.check(scheme=scheme, device=device, batched=batched)
    chosen = given.options_of(
        lr=lr,
        server_lr=server_lr,
        optimizer=optimizer,
        momentum=momentum,
        weight_decay=weight_decay,
        batch_norm=batch_norm,
        optimizer_state=optimizer_state,
        cut_gradient=cut_gradient,
        weights=weights,
        order=order,
        batched=batched,
    )
    read = Plan.load(plan)
    expect_model(read, model)
    expect_data(checkpoint if resume else None)
    common: dict[str, Any] = {
        "partition": partition,
        "samples": samples,
        "stages": shared.stage_names(stages),
        "rounds": rounds,
        "seed": seed,
        "match": match,
        "evaluate_every": evaluate_every,
        "target_accuracy": target_accuracy,
        "patience": patience,
        "checkpoint": checkpoint,
        "checkpoint_every": checkpoint_every,
        "resume": resume,
        "source": str(plan),
    }
    try:
        with progress(silent=as_json) as callback:
            common["callback"] = callback
            run: Run | None
            if wire:
                run = flags.train(read, model, data, chosen, silent=as_json, **common)
            else:
                run = train(
                    read, model, data, scheme=scheme, options=chosen, device=device, **common
                )
    except TrainingError as error:
        if error.history:
            outputs.write(error.history, "failed")
        raise
    if run is None:  # another process leads, and has the results
        return 0
    outputs.write(run.history, run.stopped, run)
    flags.save(run)
    if as_json:
        typer.echo(json.dumps(run.to_dict(), allow_nan=False))
    else:
        from splitopt.report.training import training_to_terminal

        shared.console().print(training_to_terminal(run.history, run.stopped))
        wired.report_measured(run)
    if run.stopped != "interrupted":
        return 0
    if checkpoint is not None:
        typer.echo("--resume goes on from there.", err=True)
    return INTERRUPTED


@dataclass(frozen=True)
class _Outputs:
    """The files that were asked for, None for those that were not."""

    csv: Path | None
    plot: Path | None
    model: Path | None

    def check(self, source: Path, *others: Path | None) -> None:
        """Refuse, before any work, what cannot be written, or two outputs in one file."""
        from splitopt.report.training import check_plot_path

        shared.check_outputs(source, self.csv, self.plot, self.model, *others)
        if self.plot is not None:
            check_plot_path(self.plot)

    def write(self, history: History, stopped: str, run: Run | None = None) -> None:
        """Write the weights of a run that did not fail, the rounds, and the plot."""
        if self.model is not None and run is not None:
            run.save_model(self.model)
        if self.csv is not None:
            from splitopt.storage.writing import write_atomic

            write_atomic(self.csv, history.to_csv())
        if self.plot is not None:
            from splitopt.report.training import save_plot

            save_plot({"": history}, self.plot, stopped)


@contextmanager
def progress(silent: bool) -> Iterator[Callback | None]:
    """Show a bar with the rounds that are done and the last test, on a terminal only."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    console = Console(stderr=True)
    if silent or not console.is_terminal:
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
            words = f"loss {row.loss:.4f}{tested}"
            bar.update(task, total=rounds, completed=row.round, description=words)

        yield show
