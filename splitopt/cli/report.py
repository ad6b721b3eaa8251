"""``splitopt report``: a plan file to a page or a table, needing no other file."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitopt.cli import options as shared

if TYPE_CHECKING:
    from splitopt.plans import Plan


def command(
    plan: shared.PlanFile,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="PAGE.html", help="Write a page.")
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            metavar="FILE.csv",
            help="Write who gets what: a row per device, group or node, in SI units.",
        ),
    ] = None,
    every_device: shared.EveryDevice = False,
    as_json: shared.AsJson = False,
) -> int:
    """Check a plan file and show it: in the terminal, as a self-contained HTML page, or as CSV.

    Example: splitopt report plan.json -o plan.html
    """
    from splitopt.planning.planner import open_plan
    from splitopt.plans import Plan

    shared.check_outputs(plan, output, csv)
    saved = _as_claimed(open_plan(Plan.load(plan), str(plan)).plan)
    if output is not None:
        from splitopt.report.page import plan_to_html
        from splitopt.storage.writing import write_atomic

        write_atomic(output, plan_to_html(saved, f"{date.today()}"))
    if csv is not None:
        from splitopt.export.tables.as_csv import main_csv
        from splitopt.storage.writing import write_atomic

        write_atomic(csv, main_csv(saved, str(plan)))
    if as_json:
        shared.print_json(saved.to_dict())
    elif output is None and csv is None:
        from splitopt.report.terminal import plan_to_terminal

        shared.console().print(plan_to_terminal(saved, every_device=every_device))
    return 0 if saved.is_feasible else 1


def _as_claimed(plan: Plan) -> Plan:
    """Return a plan with a note that its bound, unlike all else, was not computed again."""
    if plan.result["bound"] is None:
        return plan
    note = (
        "the bound is as the file states it: the decision and all that follows from it were "
        "computed again, a proof takes planning the scenario anew"
    )
    return replace(plan, notes=(*plan.notes, note))
