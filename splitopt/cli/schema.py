"""``splitopt schema``: the JSON Schema of a scenario file, for editors."""

from __future__ import annotations

import json

import typer


def command() -> int:
    """Print the JSON Schema of scenario files, which editors use to check and complete them.

    Example: splitopt schema > scenario.schema.json
    """
    from splitopt.scenario import scenario_schema

    typer.echo(json.dumps(scenario_schema(), indent=2))
    return 0
