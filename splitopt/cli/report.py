"""``splitopt report``: a plan file to a page or a table, needing no other file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from splitopt.cli import options as shared


def command(
    plan: Annotated[Path, typer.Argument(metavar="PLAN.json", help="A plan file.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="PAGE.html", help="Write a page.")
    ] = None,
    as_json: shared.AsJson = False,
) -> int:
    """Check a plan file and show it: in the terminal, or as one self-contained HTML page.

    Example: splitopt report plan.json -o plan.html
    """
    import json

    from splitopt.planning.planner import open_plan
    from splitopt.plans import Plan

    shared.check_outputs(plan, output)
    saved = Plan.load(plan)
    open_plan(saved, str(plan))
    if output is not None:
        from splitopt.files import write_atomic
        from splitopt.report.page import plan_to_html

        write_atomic(output, plan_to_html(saved))
    if as_json:
        typer.echo(json.dumps(saved.to_dict(), allow_nan=False))
    elif output is None:
        from splitopt.report.terminal import plan_to_terminal

        shared.console().print(plan_to_terminal(saved))
    return 0 if saved.is_feasible else 1
