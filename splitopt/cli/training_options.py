"""The flags of a training job, its optimizers and its schedule; shared by the verbs that train."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from splitopt.cli import adapter_options as adapting
from splitopt.cli import options as shared
from splitopt.cli.following_options import FollowingFlags
from splitopt.errors import InputError, shown
from splitopt.extras import need_torch
from splitopt.models.adapters.choice import Adapters
from splitopt.plans import Plan
from splitopt.training.job import TrainingJob
from splitopt.training.options import Options
from splitopt.training.schedule import Schedule


@dataclass(frozen=True)
class JobFlags:
    """What is trained: the fields of a `TrainingJob`, as every verb that trains takes them."""

    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME|MODULE:FACTORY",
            help="A shipped network or your own; by default the one the plan's profile is named "
            "after.",
        ),
    ] = None
    stages: shared.Stages = None
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="NAME|PATH",
            help="digits, mnist, fashion-mnist, cifar10, celeba, text, NAME:FOLDER, text:FILE or "
            "an .npz file; with --partition own a folder, or what this rank has; by default that "
            "of the scenario, or digits.",
        ),
    ] = None
    partition: Annotated[
        str | None,
        typer.Option(
            "--partition",
            metavar="HOW",
            help="iid, classes:K, dirichlet:ALPHA, blocks:B, random, file:PATH.json, or own: "
            "each device has data of its own; by default that of the scenario, or iid.",
        ),
    ] = None
    samples: Annotated[
        str,
        typer.Option(
            "--samples",
            metavar="plan|data",
            help="As many for each device as planned, or all data in these proportions.",
        ),
    ] = TrainingJob.samples
    match: Annotated[
        str,
        typer.Option(
            "--match",
            metavar="structure|names",
            help="The model must be that of the plan's table, or only have its layers by name.",
        ),
    ] = TrainingJob.match
    seed: shared.Seed = TrainingJob.seed
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            metavar="NAME|FILE.py:NAME",
            help="classification, multilabel, regression, segmentation, language, or your own task "
            "or loss; by default that of the scenario, or classification.",
        ),
    ] = None
    adapters: adapting.Rank = None
    adapter_targets: adapting.Targets = None
    frozen_bits: adapting.FrozenBits = None
    initial_weights: Annotated[
        Path | None,
        typer.Option(
            "--initial-weights",
            metavar="FILE.safetensors",
            help="What training begins with, such as another run's --save-model wrote.",
        ),
    ] = None

    test_at: Annotated[
        str | None,
        typer.Option("--test-at", metavar="DEVICE", help="The device that has the test data."),
    ] = None

    scheme_file: shared.SchemeFile = None

    def job(self, plan: Plan, source: Path, options: Options | None = None) -> TrainingJob:
        """Return the job; the plan is called by its file in messages."""
        given: dict[str, Any] = {**vars(self), "stages": shared.stage_names(self.stages)}
        given["scheme"] = shared.one_scheme(given.get("scheme"), given.pop("scheme_file"))
        flags = [given.pop(name) for name in ("adapters", "adapter_targets", "frozen_bits")]
        given["adapters"] = Adapters.read(*flags)
        return TrainingJob(plan, options=options, source=str(source), **given)


@dataclass(frozen=True)
class OwnProcessFlags(JobFlags):
    """What is trained, by another scheme or on another device than usual as well."""

    scheme: Annotated[
        str | None,
        typer.Option(
            "--scheme",
            metavar="NAME|FILE.py:NAME",
            help="Train the same devices by another scheme, to compare; 'splitopt plugins schemes' "
            "lists them.",
        ),
    ] = None
    device: Annotated[
        str, typer.Option("--device", metavar="NAME", help="cpu, cuda, cuda:N or auto.")
    ] = TrainingJob.device


@dataclass(frozen=True)
class CodecFlags:
    """In how many bits what crosses a cut travels, as every verb that trains takes it."""

    codec: Annotated[
        str,
        typer.Option(
            "--codec",
            metavar="NAME|FILE.py:NAME",
            help="What crosses a cut: none, fp16, bf16, int8, int4 (both with :channel and "
            ":stochastic), topk:FRACTION, or your own codec.",
        ),
    ] = Options.codec
    gradient_codec: Annotated[
        str | None,
        typer.Option(
            "--gradient-codec",
            metavar="NAME",
            help="The same for the gradients that come back; that of --codec by default.",
        ),
    ] = Options.gradient_codec

    def options(self) -> Options:
        """Return the options; a value that is none is an `InputError`."""
        return Options(**vars(self))


@dataclass(frozen=True)
class ServingFlags(CodecFlags):
    """Who takes part in a round, and in which order, beside how much travels."""

    order: Annotated[
        str | None,
        typer.Option(
            "--order",
            metavar="HOW",
            help="Of the clients: given, or shuffled; by default shuffled in splitfed_v2 alone.",
        ),
    ] = Options.order
    server_order: Annotated[
        str | None,
        typer.Option(
            "--server-order",
            metavar="HOW",
            help="How splitfed_v2 serves: client after client, or batch: a batch of each in turn.",
        ),
    ] = Options.server_order
    client_fraction: Annotated[
        float | None,
        typer.Option(
            "--client-fraction",
            metavar="C",
            help="Of K clients max(1, round(C K)) take part in a round, drawn anew in each.",
        ),
    ] = Options.client_fraction
    secure_aggregation: Annotated[
        bool,
        typer.Option(
            "--secure-aggregation",
            help="With --wire, send masked client-side models, of which whoever averages them "
            "learns the sum alone; needs the extra tls.",
        ),
    ] = Options.secure_aggregation
    threshold: Annotated[
        int | None,
        typer.Option(
            "--threshold",
            metavar="T",
            help="How many devices of a round must be left for that; two thirds of them, and 3 at "
            "least, by default.",
        ),
    ] = Options.threshold


@dataclass(frozen=True)
class OptimizerFlags(ServingFlags):
    """Optimizers and policies: the fields of `Options` that are not the plan's."""

    lr: Annotated[float, typer.Option("--lr", metavar="X", help="Learning rate of all parts.")] = (
        Options.learning_rate
    )
    server_lr: Annotated[
        float | None,
        typer.Option("--server-lr", metavar="X", help="Of the parts that are not on devices."),
    ] = Options.server_learning_rate
    lr_schedule: Annotated[
        str,
        typer.Option(
            "--lr-schedule",
            metavar="HOW",
            help="Learning rates by round: constant, step:EVERY:FACTOR, cosine:ROUNDS, or your own "
            "FILE.py:NAME.",
        ),
    ] = Options.lr_schedule
    lr_warmup: Annotated[
        int,
        typer.Option("--lr-warmup", metavar="N", help="Rounds before, in which they rise."),
    ] = Options.lr_warmup
    optimizer: Annotated[
        str,
        typer.Option(
            "--optimizer",
            metavar="NAME|FILE.py:NAME",
            help="sgd, adam, adamw, or your own function of parameters and lr.",
        ),
    ] = Options.optimizer
    momentum: Annotated[float, typer.Option("--momentum", metavar="X", help="Of sgd.")] = (
        Options.momentum
    )
    weight_decay: Annotated[
        float, typer.Option("--weight-decay", metavar="X", help="Of all optimizers.")
    ] = Options.weight_decay
    aggregation_interval: Annotated[
        int,
        typer.Option(
            "--aggregation-interval",
            metavar="I",
            help="In splitfed_v1, rounds between two averages of the device parts; the server's "
            "are averaged in every round.",
        ),
    ] = Options.aggregation_interval
    batch_norm: Annotated[
        str,
        typer.Option(
            "--batch-norm",
            metavar="HOW",
            help="Running statistics of copies: average, local or frozen.",
        ),
    ] = Options.batch_norm
    optimizer_state: Annotated[
        str,
        typer.Option(
            "--optimizer-state",
            metavar="HOW",
            help="Momentum and moments at the start of a round: reset, keep or average.",
        ),
    ] = Options.optimizer_state
    cut_gradient: Annotated[
        str,
        typer.Option(
            "--cut-gradient",
            metavar="HOW",
            help="Of a cluster: mean, as CPSL has it, or rescaled to each device's own mean.",
        ),
    ] = Options.cut_gradient
    weights: Annotated[
        str, typer.Option("--weights", metavar="BY", help="Averages by samples, or uniform.")
    ] = Options.weights
    as_published: Annotated[
        bool,
        typer.Option(
            "--as-published",
            help="Train and test SplitFed as its authors' script does: the server's optimizer anew "
            "for every batch, averages without weights, tests with the old client part.",
        ),
    ] = Options.as_published
    fed_server: Annotated[
        bool,
        typer.Option(
            "--fed-server",
            help="Let a server of its own average the client parts of SplitFed, which the main "
            "server then never has; with --wire it is one process more, the last rank.",
        ),
    ] = Options.fed_server
    clip_value: Annotated[
        float | None,
        typer.Option(
            "--clip-value", metavar="X", help="Keep numbers of gradients within -X and X."
        ),
    ] = Options.clip_value
    padding: Annotated[
        str,
        typer.Option(
            "--padding",
            metavar="data|batch",
            help="Samples of unequal length: all as long as the longest of the data, as planned, "
            "or of their batch.",
        ),
    ] = Options.padding
    batched: Annotated[
        bool,
        typer.Option("--batched", help="Train clients that are alike by one call of every layer."),
    ] = Options.batched

    def options(self) -> Options:
        """Return the options; a value that is none is an `InputError`."""
        need_torch("training")
        given: dict[str, Any] = dict(vars(self))
        rates = {"learning_rate": given.pop("lr"), "server_learning_rate": given.pop("server_lr")}
        return Options(**rates, **given)


@dataclass(frozen=True)
class ScheduleFlags(FollowingFlags):
    """How long to train, and what to do between rounds: the fields of a `Schedule`."""

    rounds: Annotated[
        int | None,
        typer.Option(
            "--rounds", metavar="N", help="At most so many; those of the plan by default."
        ),
    ] = Schedule.rounds
    evaluate_every: Annotated[
        int, typer.Option("--evaluate-every", metavar="K", help="Test after every so many rounds.")
    ] = Schedule.evaluate_every
    target_accuracy: Annotated[
        float | None,
        typer.Option("--target-accuracy", metavar="X", help="Stop when a test reaches it, 0 to 1."),
    ] = Schedule.target_accuracy
    target: Annotated[
        str | None,
        typer.Option(
            "--target", metavar="METRIC=X", help="Stop when a test reaches this metric or a better."
        ),
    ] = None
    patience: Annotated[
        int | None,
        typer.Option("--patience", metavar="K", help="Stop after K tests without a new best one."),
    ] = Schedule.patience
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="DIR", help="Keep the state of the training there."),
    ] = None
    checkpoint_every: Annotated[
        int, typer.Option("--checkpoint-every", metavar="K", help="After every so many rounds.")
    ] = Schedule.checkpoint_every
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint in that folder.")
    ] = Schedule.resume
    per_client: Annotated[
        bool,
        typer.Option(
            "--per-client", help="Test on each device's own share of the test data as well."
        ),
    ] = Schedule.per_client
    per_class: Annotated[
        bool,
        typer.Option("--per-class", help="Give the metrics of each class in every test as well."),
    ] = Schedule.per_class
    test_after: Annotated[
        str,
        typer.Option(
            "--test-after",
            metavar="round|turn",
            help="Test after every device's turn as well, where a scheme serves one after another.",
        ),
    ] = Schedule.test_after

    def schedule(self) -> Schedule:
        """Return the schedule; a value that is none is an `InputError`."""
        return Schedule(**{**vars(self), "target": self._target()})

    def _target(self) -> tuple[str, float] | None:
        """Return metric and value of ``METRIC=X``."""
        if self.target is None:
            return None
        name, equals, value = self.target.partition("=")
        try:
            return name, float(value)
        except ValueError:
            why = "has no number after '='" if equals else "has no '='"
            raise InputError.at(
                "--target", f"{shown(self.target)} {why}; write METRIC=X, such as rmse=0.2"
            ) from None
