"""``splitopt certificates``: a set of certificates for a run over several machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from splitopt.cli import options as shared
from splitopt.errors import InputError, shown


def command(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where to write them.")
    ],
    plan: Annotated[
        Path | None,
        typer.Argument(metavar="PLAN.json", help="A plan file, whose parties get certificates."),
    ] = None,
    names: Annotated[
        str | None,
        typer.Option("--names", metavar="A,B,...", help="Names of ranks 1, 2, ... without a plan."),
    ] = None,
    days: Annotated[
        int, typer.Option("--days", metavar="N", help="For how long they are in force.")
    ] = 30,
    fed_server: Annotated[
        bool,
        typer.Option("--fed-server", help="For a run with a fed server, which gets one too."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    as_json: shared.AsJson = False,
) -> int:
    """Make an authority, a certificate with a key for each party of a plan, and a token.

    Example: splitopt certificates plan.json -o certificates
    """
    from splitopt.training.wire.transport.certificates import write_certificates
    from splitopt.training.wire.transport.tls import LEADER

    if (plan is None) == (names is None):
        raise InputError("certificates need either a plan file or --names")
    if fed_server and plan is None:
        raise InputError.at("--fed-server", "needs a plan; with --names name fed as the last rank")
    parties = _parties(plan, fed_server) if plan is not None else _split(names or "")
    paths = write_certificates(output, parties, days, force)
    if as_json:
        typer.echo(json.dumps([str(path) for path in paths]))
        return 0
    for rank, name in enumerate((LEADER, *parties)):
        typer.echo(f"rank {rank}: {output / f'rank-{rank}'}.pem and .key, for {shown(name)}")
    typer.echo(
        f"All ranks need {output / 'ca.pem'} and {output / 'token'}, and each its own certificate "
        f"and key and nobody else's; they are in force for {days} days."
    )
    return 0


def _parties(path: Path, fed_server: bool) -> tuple[str, ...]:
    from splitopt.plans import Plan
    from splitopt.training.program import program_of
    from splitopt.training.wire.roles import roles_of

    program = program_of(Plan.load(path), str(path))
    program.expect_parties(str(path))
    return roles_of(program, fed_server).parties(program)


def _split(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))
