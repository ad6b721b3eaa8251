"""``splitopt export``: a plan, with or without its model, as a folder for other software."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splitopt.cli import options as shared
from splitopt.cli import train
from splitopt.cli.flags import with_flags
from splitopt.cli.invocation import expect_model
from splitopt.errors import InputError
from splitopt.export.deployment.settings import Deployment
from splitopt.export.deployment.train_options import shared_options
from splitopt.export.exporting import check_used, export_alone, export_job
from splitopt.export.registry import EXPORTERS, takes_of
from splitopt.export.sample import Sample
from splitopt.extras import need_torch
from splitopt.plans import Plan
from splitopt.training.job import TrainingJob

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class ModelFlags:
    """Whose parts are written: fields of a `TrainingJob`, as an export reads them."""

    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="MODULE:FACTORY, FILE.py:FACTORY, hf:FOLDER, or a shipped network; by default the "
            "one that the plan's profile is named after.",
        ),
    ] = None
    match: Annotated[
        str,
        typer.Option(
            "--match",
            metavar="HOW",
            help="structure: the model must be the plan's to the byte; names: take the cuts by "
            "the names of layers alone, for plans from published tables.",
        ),
    ] = TrainingJob.match
    stages: shared.Stages = None
    scheme_file: shared.SchemeFile = None

    def job(self, plan: Plan, source: Path) -> TrainingJob:
        """Return the job; the plan is called by its file in messages."""
        given: dict[str, Any] = {**vars(self), "stages": shared.stage_names(self.stages)}
        given["scheme"] = shared.one_scheme(None, given.pop("scheme_file"))
        return TrainingJob(plan, source=str(source), **given)


@dataclass(frozen=True)
class SampleFlags:
    """What the model takes and gives."""

    input_shape: Annotated[
        str | None,
        typer.Option("--input-shape", metavar="C,H,W", help="The shape of one sample."),
    ] = None
    input_dtype: Annotated[
        str | None,
        typer.Option("--input-dtype", metavar="TYPE", help="float32, or int64 for token ids."),
    ] = None
    classes: Annotated[
        int | None,
        typer.Option("--classes", metavar="N", help="Outputs of a shipped network."),
    ] = None

    def sample(self) -> Sample:
        """Return shape, type and classes as an export takes them."""
        shape = None
        if self.input_shape is not None:
            need_torch("'splitopt export'")
            from splitopt.profiles.tracing.source import read_shape

            shape = tuple(read_shape(self.input_shape))
        return Sample(None, shape, self.input_dtype, self.classes)


@dataclass(frozen=True)
class DeploymentFlags:
    """How services of the parties are made: fields of a `Deployment`."""

    image: Annotated[
        str,
        typer.Option(
            "--image", metavar="NAME", help="compose, kubernetes: the container image to run."
        ),
    ] = Deployment.image
    train: Annotated[
        str,
        typer.Option(
            "--train",
            metavar="'OPTIONS'",
            help="compose, kubernetes: options of 'splitopt train' that all parties share, such "
            "as '--lr 0.1 --rounds 5'.",
        ),
    ] = Deployment.train
    fed_server: Annotated[
        bool,
        typer.Option(
            "--fed-server", help="compose, kubernetes: with a fed server beside the main server."
        ),
    ] = Deployment.fed_server

    def deployment(self) -> Deployment:
        """Return how services are made; options that 'splitopt train' would refuse are refused."""
        given = shared_options(self.train)
        single = typer.Typer(add_completion=False)
        single.command()(train.command)
        try:
            typer.main.get_command(single).make_context("splitopt train", ["plan", *given])
        except Exception as error:
            said = getattr(error, "format_message", None)
            if said is None:
                raise
            raise InputError.at(
                "--train", f"{said().rstrip('.')}; 'splitopt train --help'"
            ) from None
        return Deployment(**vars(self))


@with_flags
def command(
    plan: shared.PlanFile,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FORMAT",
            help=f"One of {', '.join(EXPORTERS)}; 'splitopt exporters' lists them, and those of "
            "other packages.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="The folder to write.")
    ],
    model: ModelFlags,
    inputs: SampleFlags,
    services: DeploymentFlags,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            metavar="FILE.safetensors",
            help="Weights to write with the parts, such as 'splitopt train --save-model' writes, "
            "or a checkpoint's folder.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier export.")] = False,
    as_json: shared.AsJson = False,
) -> int:
    """Write a plan for other software: parts of its model, services of its parties, or tables.

    Example: splitopt export plan.json --to torch -o parts
    """
    deployment = services.deployment()
    check_used(to, deployment, {"weights": weights, **vars(model), **vars(inputs)})
    if takes_of(to) == "plan":
        saved = Plan.load(plan)
        written = export_alone(
            saved, output, to=to, source=str(plan), deployment=deployment, force=force
        )
    else:
        sample = inputs.sample()
        saved = Plan.load(plan)
        expect_model(saved, model.model)
        with shared.waiting("splitting the model", silent=as_json):
            written = export_job(
                model.job(saved, plan), output, sample, to=to, weights=weights, force=force
            )
    if as_json:
        shared.print_json(written)
    else:
        _show(written)
    return 0


def _show(written: dict[str, Any]) -> None:
    console = shared.console()
    if "clients" in written:
        _show_parts(console, written)
    console.print(
        f"Written to {written['folder']}: {', '.join(sorted(written['files']))}", highlight=False
    )


def _show_parts(console: Console, written: dict[str, Any]) -> None:
    console.print(
        f"{written['model']} in parts, cut where {written['cuts_found_by']} found it",
        highlight=False,
    )
    rows = [
        (
            client["name"],
            ", ".join(client["cuts"]) or "nothing",
            ", ".join(f"{item['part']} on {item['party']}" for item in client["parts"]),
        )
        for client in written["clients"]
    ]
    console.print(shared.table(("Client", "Cut behind", "Parts"), rows), highlight=False)
