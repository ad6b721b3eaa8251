"""``splitopt export``: a plan and its model as a folder that other software reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from splitopt.cli import options as shared
from splitopt.cli.flags import with_flags
from splitopt.cli.invocation import expect_model
from splitopt.export.exporting import export_job
from splitopt.export.registry import EXPORTERS
from splitopt.export.sample import Sample
from splitopt.extras import need_torch
from splitopt.plans import Plan
from splitopt.training.job import TrainingJob


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
    """Write a plan's parts as code or programs that run without splitopt.

    Example: splitopt export plan.json --to torch -o parts
    """
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
    console.print(
        f"Written to {written['folder']}: {', '.join(sorted(written['files']))}", highlight=False
    )
