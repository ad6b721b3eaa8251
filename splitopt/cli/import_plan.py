"""``splitopt import``: a plan read back from what an export of it wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from splitopt.cli import options as shared
from splitopt.storage.writing import check_writable


def command(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="The folder of an export that holds a plan, or its manifest."
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="PLAN.json", help="The plan file to write.")
    ],
    as_json: shared.AsJson = False,
) -> int:
    """Read a plan back from the folder of an export, and check that it is the one exported.

    Example: splitopt import app -o plan.json
    """
    from splitopt.export.importing import import_plan
    from splitopt.plans import plan_digest

    check_writable(output)
    plan = import_plan(source)
    plan.save(output)
    if as_json:
        shared.print_json({"plan": str(output), "problem": plan.problem, "hash": plan_digest(plan)})
    else:
        typer.echo(f"Written to {output}: a plan of {plan.problem}, {plan_digest(plan)[:12]}")
    return 0
