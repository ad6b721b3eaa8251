"""``splitopt scenarios``: the shipped scenarios, and the file of one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from splitopt.cli import options as shared
from splitopt.documents.checks import check_choice


def command(
    scenario: Annotated[
        str | None,
        typer.Argument(metavar="[SCENARIO]", help="Print the file of one, to begin with."),
    ] = None,
    as_json: shared.AsJson = False,
) -> int:
    """List the shipped scenarios, which every verb takes by name: problem, devices, what for.

    Example: splitopt scenarios digits-splitfed > mine.yaml
    """
    from splitopt.planning.shipped import listed_scenarios
    from splitopt.scenario import Scenario, scenario_file, scenario_names

    if scenario is not None:
        check_choice("SCENARIO", scenario, tuple(scenario_names()))
        if as_json:
            shared.print_json(Scenario.load(scenario).to_dict())
        else:
            typer.echo(scenario_file(scenario).read_text(encoding="utf-8"), nl=False)
        return 0
    rows = listed_scenarios()
    if as_json:
        shared.print_json([asdict(row) for row in rows])
        return 0
    headings = ("Scenario", "Problem", "Model", "Devices", "Nodes", "What it is")
    texts = [
        (row.name, row.problem, row.model, str(row.devices), str(row.nodes), row.note)
        for row in rows
    ]
    table = shared.table(headings, texts, numbers=headings[3:5], unbroken=headings[:3])
    shared.console().print(table, highlight=False)
    return 0
