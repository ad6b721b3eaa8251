"""``splitopt export``: a plan and its model as a folder that other software reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from splitopt.cli import options as shared
from splitopt.cli.asked import expect_model
from splitopt.export.exporting import EXPORTERS


def command(
    plan: Annotated[Path, typer.Argument(metavar="PLAN.json", help="A plan file.")],
    to: Annotated[
        str, typer.Option("--to", metavar="FORMAT", help=f"One of {', '.join(EXPORTERS)}.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="The folder to write.")
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="MODULE:FACTORY, FILE.py:FACTORY, or a shipped network; by default the one that "
            "the plan's profile is named after.",
        ),
    ] = None,
    input_shape: Annotated[
        str | None,
        typer.Option("--input-shape", metavar="C,H,W", help="The shape of one sample."),
    ] = None,
    input_dtype: Annotated[
        str | None,
        typer.Option("--input-dtype", metavar="TYPE", help="float32, or int64 for token ids."),
    ] = None,
    classes: Annotated[
        int | None,
        typer.Option("--classes", metavar="N", help="Outputs of a shipped network."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            metavar="FILE.safetensors",
            help="Weights to write with the parts, such as 'splitopt train --save-model' writes, "
            "or a checkpoint's folder.",
        ),
    ] = None,
    match: Annotated[
        str,
        typer.Option(
            "--match",
            metavar="HOW",
            help="structure: the model must be the plan's to the byte; names: take the cuts by "
            "the names of layers alone, for plans from published tables.",
        ),
    ] = "structure",
    stages: shared.Stages = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier export.")] = False,
    as_json: shared.AsJson = False,
) -> int:
    """Write a plan's parts as code that runs without splitopt: who holds what, cut where.

    Example: splitopt export plan.json --to torch -o parts
    """
    from splitopt.export import export_plan
    from splitopt.extras import need_torch
    from splitopt.plans import Plan

    shape = None
    if input_shape is not None:
        need_torch("'splitopt export'")
        from splitopt.profiles.tracing.source import read_shape

        shape = read_shape(input_shape)
    saved = Plan.load(plan)
    expect_model(saved, model)
    with shared.waiting("splitting the model", silent=as_json):
        written = export_plan(
            saved,
            output,
            to=to,
            model=model,
            input_shape=shape,
            input_dtype=input_dtype,
            classes=classes,
            weights=weights,
            match=match,
            stages=shared.stage_names(stages),
            force=force,
            source=str(plan),
        )
    if as_json:
        typer.echo(json.dumps(written, allow_nan=False))
    else:
        _show(written)
    return 0


def _show(written: dict[str, Any]) -> None:
    from rich.table import Table

    console = shared.console()
    console.print(
        f"{written['model']} in parts, cut where {written['cuts_found_by']} found it",
        highlight=False,
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Client", "Cut behind", "Parts"):
        table.add_column(heading)
    for client in written["clients"]:
        held = ", ".join(f"{item['part']} on {item['party']}" for item in client["parts"])
        table.add_row(client["name"], ", ".join(client["cuts"]) or "nothing", held)
    console.print(table, highlight=False)
    console.print(
        f"Written to {written['folder']}: {', '.join(sorted(written['files']))}", highlight=False
    )
