"""What any report is made of, on a page and in the terminal: facts, tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Parameters
    ----------
    key
        Of its cells.
    heading
        What stands above it.
    text
        Whether it holds text rather than numbers.
    meaning
        What the heading means, shown where it is pointed at on a page.
    """

    key: str
    heading: str
    text: bool = False
    meaning: str = ""


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
    order
        Key of a column -> numbers to sort the rows by, where its text does not do.
    """

    heading: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, str], ...]
    things: str = "rows"
    main: bool = True
    order: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Figure:
    """A drawing on a page.

    Parameters
    ----------
    heading, caption
        What stands above it.
    draw
        Draws it as an SVG element.
    legend
        Names of the lines, which a page may let its reader hide.
    marked
        Whether the lines have points, so that the legend shows their markers.
    numbers
        The numbers behind it.
    """

    heading: str
    draw: Callable[[], str]
    caption: str = ""
    legend: tuple[str, ...] = ()
    marked: bool = False
    numbers: Table | None = None


@dataclass(frozen=True)
class Content:
    """What the module of a problem says about the prediction of a plan."""

    facts: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    figures: tuple[Figure, ...] = ()
