"""A plan in the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from splitopt.plans import PlanLike, as_plan
from splitopt.report.grids import table_in_terminal
from splitopt.report.summary import summarize


def plan_to_terminal(plan: PlanLike) -> RenderableType:
    """Lay out the plan: who does what, the verdict, the bottleneck and what more is worth."""
    plan = as_plan(plan)
    summary = summarize(plan)
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
