"""``splitopt diff``: what changed from one plan to another, and what that gains."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from splitopt.cli import options as shared


def command(
    before: Annotated[Path, typer.Argument(metavar="A.json", help="A plan file.")],
    after: Annotated[Path, typer.Argument(metavar="B.json", help="Another plan file.")],
    exit_code: Annotated[
        bool,
        typer.Option(
            "--exit-code",
            help="Exit with 1 where the plans differ in more than the time they took.",
        ),
    ] = False,
    as_json: shared.AsJson = False,
) -> int:
    """Report what changed between two plans: inputs, decision, prediction, certificate, the gain.

    Example: splitopt diff monday.json tuesday.json
    """
    from splitopt.planning.differing.plans import diff_plans

    found = diff_plans(before, after)
    if as_json:
        shared.print_json(found.to_dict())
    else:
        from splitopt.report.difference import diff_to_terminal

        shared.console().print(diff_to_terminal(found))
    return 1 if exit_code and found.differs else 0
