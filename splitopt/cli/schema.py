"""``splitopt schema``: the JSON Schema of scenario and plan files, for editors and programs."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from splitopt.documents.checks import check_choice

KINDS = ("scenario", "plan")


def command(
    kind: Annotated[
        str, typer.Argument(metavar="[KIND]", help="Of which files: scenario (default) or plan.")
    ] = "scenario",
) -> int:
    """Print the JSON Schema of scenario files, or of plan files, to check and complete them.

    Example: splitopt schema > scenario.schema.json
    """
    check_choice("KIND", kind, KINDS)
    if kind == "plan":
        from splitopt.planning.plan_schema import plan_schema

        found = plan_schema()
    else:
        from splitopt.scenario import scenario_schema

        found = scenario_schema()
    typer.echo(json.dumps(found, indent=2))
    return 0
