"""A plan in the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from splitopt.plans import PlanLike, as_plan
from splitopt.report.content import Table
from splitopt.report.summary import summarize

_MOST_ROWS = 40


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


def table_in_terminal(table: Table) -> list[RenderableType]:
    """Lay out one table with its caption, the first rows of many."""
    grid = Grid(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    for column in table.columns:
        grid.add_column(column.heading, justify="left" if column.text else "right", no_wrap=True)
    for row in table.rows[:_MOST_ROWS]:
        grid.add_row(*(Text(row[column.key]) for column in table.columns))
    found: list[RenderableType] = [Text(table.caption), grid]
    if len(table.rows) > _MOST_ROWS:
        more = len(table.rows) - _MOST_ROWS
        found.append(Text(f"... and {more} more {table.things}: see the plan file or the page"))
    return found
