"""A plan in the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from splitopt.plans import PlanLike, as_plan
from splitopt.report.alike import with_alike_rows
from splitopt.report.grids import table_in_terminal
from splitopt.report.summary import summarize


def plan_to_terminal(plan: PlanLike, *, every_device: bool = False) -> RenderableType:
    """Lay out the plan: who does what, the verdict, the bottleneck and what more is worth.

    Parameters
    ----------
    plan
        A plan, the path of its file, or its plain data.
    every_device
        Whether devices of a group that do the same have a row each; otherwise they are one row, as
        on the page of the plan.
    """
    plan = as_plan(plan)
    summary = summarize(plan if every_device else with_alike_rows(plan))
    parts: list[RenderableType] = [Text(summary.title, style="bold")]
    for table in summary.tables:
        if table.main:
            parts += table_in_terminal(table)
    parts.append(Text(summary.verdict, style="bold green" if plan.is_feasible else "bold red"))
    parts += [Text(f"{label}: {value}") for label, value in summary.facts]
    for table in summary.tables:
        if not table.main:
            parts += table_in_terminal(table)
    parts += [Text(f"Note: {note}", style="yellow") for note in summary.notes]
    return Group(*parts)
