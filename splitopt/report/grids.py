"""Tables in the terminal."""

from __future__ import annotations

from dataclasses import replace

from rich.console import RenderableType
from rich.table import Table as Grid
from rich.text import Text

from splitopt.report.content import Table

MOST_ROWS = 40


def grid(table: Table, *, wrap: bool = False) -> Grid:
    """Lay out the rows of a table, text on the left and numbers on the right.

    With `wrap` names are folded and headings broken between words, so that many columns fit into
    a narrow terminal.
    """
    padding = (0, 1, 0, 0) if wrap else (0, 1)
    laid = Grid(box=None, pad_edge=False, padding=padding, header_style="bold")
    for column in table.columns:
        laid.add_column(
            Text(column.heading),
            justify="left" if column.text else "right",
            no_wrap=not wrap,
            overflow="fold" if wrap else "ellipsis",
            min_width=_longest_word(column.heading) if wrap and not column.text else None,
        )
    for row in table.rows:
        laid.add_row(*(Text(row[column.key]) for column in table.columns))
    return laid


def _longest_word(heading: str) -> int:
    return max(len(word) for word in heading.split())


def table_in_terminal(table: Table, *, wrap: bool = False) -> list[RenderableType]:
    """Lay out one table with its caption, the first rows of many; `wrap` as in `grid`."""
    first = replace(table, rows=table.rows[:MOST_ROWS])
    found: list[RenderableType] = [Text(table.caption), grid(first, wrap=wrap)]
    if len(table.rows) > MOST_ROWS:
        more = len(table.rows) - MOST_ROWS
        found.append(Text(f"... and {more} more {table.things}: see the plan file or the page"))
    return found
