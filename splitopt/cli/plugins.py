"""``splitopt plugins``: schemes, tasks, optimizers and codecs, and what a new one must do."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from splitopt.cli import options as shared
from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, shown
from splitopt.training.kinds import KINDS, listed_plugins

if TYPE_CHECKING:
    from splitopt.plugins import Kind
    from splitopt.training.conformance import Check


def command(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="[KIND]", help="schemes, tasks, optimizers or codecs; all if none."),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option(
            "--check",
            metavar="NAME|FILE.py:NAME",
            help="Run the conformance suite on one; exit code 1 if a check fails.",
        ),
    ] = None,
    as_json: shared.AsJson = False,
) -> int:
    """List what a plan can be trained with: splitopt's own, and what other packages bring.

    Example: splitopt plugins schemes --check mine.py:Mine
    """
    chosen = KINDS if kind is None else (_kind(kind),)
    if check is not None:
        if kind is None:
            raise InputError.at("--check", "needs the kind; splitopt plugins KIND --check NAME")
        return _check(chosen[0], check, as_json)
    rows = listed_plugins(chosen)
    if as_json:
        shared.print_json([asdict(row) for row in rows])
        return 0
    headings = ("Kind", "Name", "From", "Ready", "What it is")
    texts = [(row.kind, row.name, row.source, row.ready, row.summary) for row in rows]
    shared.console().print(shared.table(headings, texts, unbroken=headings[:2]), highlight=False)
    return 0


def _kind(text: str) -> Kind:
    for kind in KINDS:
        if text in (kind.word, kind.plural):
            return kind
    known = [kind.plural for kind in KINDS]
    raise InputError.at(
        "KIND", f"{shown(text)} is none of {', '.join(known)}{did_you_mean(text, known)}"
    )


def _check(kind: Kind, text: str, as_json: bool) -> int:
    """Run the conformance suite of a kind and print every finding; 1 if a check failed."""
    from splitopt.extras import need_torch

    need_torch("checking plug-ins")
    from splitopt.training.conformance import iterate_checks

    checks: list[Check] = []
    for found in iterate_checks(kind.word, text):
        checks.append(found)
        if not as_json:
            typer.echo(f"{found.status:<7}  {found.name}: {found.message}")
    failed = sum(found.status == "failed" for found in checks)
    if as_json:
        shared.print_json([found.to_dict() for found in checks])
    else:
        typer.echo("conforms" if not failed else f"does not conform: {failed} checks failed")
    return 1 if failed else 0
