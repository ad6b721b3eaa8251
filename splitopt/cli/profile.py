"""``splitopt profile``: any PyTorch module to its cuts and what they cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splitopt.cli import options as shared
from splitopt.errors import InputError

if TYPE_CHECKING:
    from splitopt.profiles.model import ModelProfile
    from splitopt.profiles.tracing.result import TracedModel


def command(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="MODULE:FACTORY, FILE.py:FACTORY, or a shipped model such as resnet18.",
        ),
    ],
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
        typer.Option("--classes", metavar="N", help="Outputs of a shipped model."),
    ] = None,
    method: Annotated[
        str,
        typer.Option("--method", metavar="NAME", help="auto, sequential, fx, export or stages."),
    ] = "auto",
    stages: Annotated[
        str | None,
        typer.Option(
            "--stages", metavar="A,B,...", help="Submodules that the model runs through in order."
        ),
    ] = None,
    keep_all: Annotated[
        bool, typer.Option("--all", help="Keep cuts that another one beats.")
    ] = False,
    shapes_only: Annotated[
        bool,
        typer.Option("--shapes-only", help="Count on shapes: nothing is computed or compared."),
    ] = False,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="The name of the profile.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="PROFILE.json", help="Write the profile."),
    ] = None,
    measure: Annotated[
        str | None,
        typer.Option("--measure", metavar="MACHINE", help="Time the layers; name this machine."),
    ] = None,
    batch: Annotated[
        int, typer.Option("--batch", metavar="N", min=1, help="Samples in a timed batch.")
    ] = 32,
    repeats: Annotated[int, typer.Option("--repeats", metavar="N", min=1, help="Timed runs.")] = 20,
    threads: Annotated[
        int | None, typer.Option("--threads", metavar="N", min=1, help="Threads of torch.")
    ] = None,
    times: Annotated[
        Path | None,
        typer.Option("--times", metavar="DIR", help="Write MODEL__MACHINE.csv there."),
    ] = None,
    as_json: shared.AsJson = False,
) -> int:
    """Find where a model can be cut and what each cut costs, as a profile to plan with.

    Example: splitopt profile resnet18 --input-shape 3,32,32 -o resnet18.json
    """
    from splitopt.extras import need_torch

    need_torch("'splitopt profile'")
    from splitopt.profiles import trace
    from splitopt.profiles.tracing.example import made
    from splitopt.profiles.tracing.source import open_model, read_shape

    if output is not None:
        if output.suffix != ".json":
            raise InputError(f"{output}: a profile is a JSON file; give a name that ends in .json")
        shared.check_outputs(Path(target), output)
    if measure is not None and shapes_only:
        raise InputError("--measure computes, --shapes-only does not; leave one of them out")
    if times is not None and (measure is None or not times.is_dir()):
        raise InputError(
            f"--times {times}: must be a folder that exists, and needs --measure MACHINE"
        )
    shape = None if input_shape is None else read_shape(input_shape)
    device = "meta" if shapes_only else "cpu"
    module, short, size, dtype = open_model(target, shape, classes, device)
    found = trace(
        module,
        made(size, input_dtype or dtype, device=device),
        name=name or short,
        stages=None if stages is None else [item.strip() for item in stages.split(",")],
        method=method,
        keep_all=keep_all,
    )
    profile, sentences = found.profile, []
    if measure is not None:
        from splitopt.profiles.speed import flop_model
        from splitopt.profiles.times import write_times
        from splitopt.profiles.tracing import measure as take_times

        how = {"batch": batch, "repeats": repeats, "threads": threads}
        profile = take_times(found, measure, **how).profile
        sentences.append(f"{flop_model(profile, measure).sentence()}.")
        if times is not None:
            sentences.append(f"Times in {write_times(profile, measure, times, batch)}.")
    if output is not None:
        profile.save(output)
    if as_json:
        typer.echo(json.dumps(profile.to_dict(), allow_nan=False))
    else:
        _show(found, profile, sentences, output)
    return 0


def _show(
    found: TracedModel, profile: ModelProfile, sentences: list[str], output: Path | None
) -> None:
    console = shared.console()
    console.print(f"{profile.name}: {profile.provenance.source}")
    console.print(_table(profile))
    for note in profile.provenance.notes:
        console.print(f"* {note}", highlight=False)
    if found.dominated:
        console.print(
            f"* {len(found.dominated)} more cuts are beaten by a later one, which sends no more "
            "bytes for the same counted work: --all keeps them.",
            highlight=False,
        )
    for sentence in sentences:
        console.print(f"* {sentence}", highlight=False)
    if output is not None:
        console.print(f"Written to {output}; in a scenario: model: {{file: {output}}}")


def _table(profile: ModelProfile) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    headings = (
        "Cut", "Behind", "Forward MFLOP", "Backward MFLOP", "Smashed KiB", "Gradient KiB",
        "Model KiB", "Memory KiB/sample", *(f"{name} ms/sample" for name in profile.machines),
    )  # fmt: skip
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "Behind" else "right")
    memory = profile.device_memory_per_sample_bytes
    for index, layer in enumerate(profile.layers):
        numbers = (
            profile.device_forward_flop[index] / 1e6,
            profile.device_backward_flop[index] / 1e6,
            profile.smashed_bytes[index] / 1024,
            profile.gradient_bytes[index] / 1024,
            profile.device_model_bytes[index] / 1024,
            0.0 if memory is None else memory[index] / 1024,
        )
        seconds = [1e3 * times.total_s[: index + 1].sum() for times in profile.machines.values()]
        cells = [f"{number:,.2f}" for number in numbers] + [f"{number:.3f}" for number in seconds]
        table.add_row(str(index + 1), layer, *cells)
    return table
