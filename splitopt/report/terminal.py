"""A plan in the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from splitopt.plans import Plan
from splitopt.report.summary import COLUMNS, summarize

_MOST_ROWS = 40


def plan_to_terminal(plan: Plan) -> RenderableType:
    """Lay out the plan: a table of devices, the verdict, the bottleneck and what more is worth."""
    summary = summarize(plan)
    parts: list[RenderableType] = [Text(summary.title, style="bold")]
    if summary.rows:
        parts.append(Text("Shares of the resources in %, and seconds per round"))
        parts += [_devices(summary.rows), *_left_out(len(summary.rows))]
    parts.append(Text(summary.verdict, style="bold green" if plan.is_feasible else "bold red"))
    parts += [Text(f"{label}: {value}") for label, value in summary.facts]
    if summary.worth:
        parts.append(Text("What more of a resource saves of the objective (exact, for these cuts)"))
        parts.append(_worth(summary.worth))
    parts += [Text(f"Note: {note}", style="yellow") for note in summary.notes]
    return Group(*parts)


def _devices(rows: tuple[dict[str, str], ...]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    for key, heading in COLUMNS:
        left = key in ("device", "cut")
        table.add_column(heading, justify="left" if left else "right", no_wrap=True)
    for row in rows[:_MOST_ROWS]:
        table.add_row(*(Text(row[key]) for key, _ in COLUMNS))
    return table


def _left_out(rows: int) -> list[Text]:
    if rows <= _MOST_ROWS:
        return []
    return [Text(f"... and {rows - _MOST_ROWS} more devices: see the plan file or the page")]


def _worth(rows: tuple[dict[str, str], ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, right in (("Resource", False), ("Now", True), ("1 % more", True), ("Unit", True)):
        table.add_column(heading, justify="right" if right else "left")
    for row in rows:
        table.add_row(*(Text(row[key]) for key in ("resource", "now", "percent", "unit")))
    return table
