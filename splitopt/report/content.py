"""What a plan's report is made of, whatever the problem: facts, tables and figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column of a table: the key of its cells, its heading, and whether it holds text."""

    key: str
    heading: str
    text: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of text with a heading on the page and a caption.

    Parameters
    ----------
    heading
        Stands above the table on a page.
    caption
        One sentence about the numbers, on a page and in the terminal.
    columns, rows
        Each row maps the keys of the columns to text.
    things
        What the rows are, such as ``devices``.
    main
        Whether the terminal shows it before the verdict rather than behind the facts.
    """

    heading: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[dict[str, str], ...]
    things: str = "rows"
    main: bool = True


@dataclass(frozen=True)
class Figure:
    """A drawing on the page: its heading, a caption, and how to draw it as an SVG element."""

    heading: str
    draw: Callable[[], str]
    caption: str = ""


@dataclass(frozen=True)
class Content:
    """What the module of a problem says about the prediction of a plan."""

    facts: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    figures: tuple[Figure, ...] = ()
