"""A section of the page of a plan."""

from __future__ import annotations

from dataclasses import dataclass

from splitopt.report.content import Figure, Table


@dataclass(frozen=True)
class Section:
    """A heading with sentences, figures and tables below it, in this order.

    Parameters
    ----------
    name
        What links on the page call it.
    heading, paragraphs, figures, tables
        Headings of its only figure or table are left out.
    folded
        Whether it is shown by its heading alone until its reader opens it.
    """

    name: str
    heading: str
    paragraphs: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    folded: bool = False
