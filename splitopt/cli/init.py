"""``splitopt init``: a commented scenario file to begin with."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from splitopt.errors import InputError
from splitopt.storage.outputs import is_stream
from splitopt.storage.writing import check_writable, write_atomic

T = TypeVar("T")


def command(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE.yaml]", help="The file to write, scenario.yaml by default."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE.yaml", help="The file to write, too."),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind", metavar="KIND", help="star (default), pipeline, clusters or machines."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME",
            help="A shipped profile, resnet18-imagenet by default; 'splitopt profiles' lists them.",
        ),
    ] = None,
    devices: Annotated[
        int | None,
        typer.Option("--devices", metavar="N", help="How many devices or machines, 10 by default."),
    ] = None,
    nodes: Annotated[
        int | None,
        typer.Option("--nodes", metavar="N", help="How many compute nodes a pipeline has."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite the file if it is there.")
    ] = False,
) -> int:
    """Write a commented scenario to begin with; on a terminal, ask for what no flag says.

    Example: splitopt init fleet.yaml --kind star --model resnet18-imagenet --devices 12
    """
    from splitopt.scenario.starting import (
        USUAL_DEVICES,
        USUAL_KIND,
        USUAL_MODEL,
        starting_scenario,
    )

    file = _named(file, output)
    check_writable(file)
    if file.exists() and not is_stream(file) and not force:
        raise InputError(f"{file}: is there already; name another file, or --force overwrites it")
    flags = {"kind": kind, "model": model, "devices": devices}
    if None in flags.values() and sys.stdin is not None and sys.stdin.isatty():
        kind, model, devices = _asked(kind, model, devices)
    text = starting_scenario(
        USUAL_KIND if kind is None else kind,
        USUAL_MODEL if model is None else model,
        USUAL_DEVICES if devices is None else devices,
        nodes,
        name="my-fleet" if is_stream(file) or not file.stem.isprintable() else file.stem,
        file=str(file) if str(file).isprintable() else "FILE.yaml",
    )
    write_atomic(file, text)
    if not is_stream(file):
        typer.echo(f"{file}: written; next: splitopt plan {file}", err=True)
    return 0


def _named(file: Path | None, output: Path | None) -> Path:
    """Return the file that is named, by itself as in most examples or by ``-o`` as elsewhere."""
    if file is not None and output is not None and file != output:
        raise InputError(f"-o: names {output}, and {file} is named too; name one file")
    return file or output or Path("scenario.yaml")


def _asked(kind: str | None, model: str | None, devices: int | None) -> tuple[str, str, int]:
    """Read what was not given from the user; an answer that cannot be used is asked for again."""
    from splitopt.scenario.starting import (
        KINDS,
        USUAL_DEVICES,
        USUAL_KIND,
        USUAL_MODEL,
        starting_scenario,
    )

    if kind is None:
        typer.echo("\n".join(f"  {name}: {what}" for name, what in KINDS.items()), err=True)
        kind = _ask("Kind", USUAL_KIND, str, starting_scenario)
    if model is None:
        model = _ask("Model profile", USUAL_MODEL, str, partial(starting_scenario, kind))
    if devices is None:
        check_devices = partial(starting_scenario, kind, USUAL_MODEL)
        devices = _ask("Devices", USUAL_DEVICES, _whole, check_devices)
    return kind, model, devices


def _ask(question: str, usual: T, read: Callable[[str], T], check: Callable[[T], object]) -> T:
    while True:
        try:
            answer = read(str(typer.prompt(question, default=usual, err=True)).strip())
            check(answer)
            return answer
        except InputError as error:
            typer.echo(f"  {error}", err=True)


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError.at("devices", f"is {text!r}, it must be a whole number") from None
