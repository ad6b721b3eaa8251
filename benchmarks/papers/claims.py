"""Claims of the papers, each beside what its replay gave, and what that says of it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.papers.tables import Table

Verdict = Literal["reproduces", "partly", "does not", "not tried"]
CLOSE, NEAR = 0.05, 0.25
"""Relative distances up to which a number reproduces, and up to which it does in part."""


@dataclass(frozen=True)
class Claim:
    """One claim of a paper.

    Parameters
    ----------
    where, text
        Its place in the paper, and what it says.
    published, here, best
        What the paper has, what its replay has, and the best that is possible; empty where there
        is none.
    verdict
        What the replay says of it.
    """

    where: str
    text: str
    published: str
    here: str
    verdict: Verdict
    best: str = ""


def number(
    where: str,
    text: str,
    published: float,
    here: float,
    *,
    unit: str = "",
    best: float | None = None,
    digits: int = 2,
) -> Claim:
    """Return a claim about a number; the verdict follows from how far it is from the replay's."""
    off = abs(here - published) / abs(published)
    verdict: Verdict = "reproduces" if off <= CLOSE else "partly" if off <= NEAR else "does not"
    shown = [f"{value:.{digits}f}{unit}" for value in (published, here)]
    least = "" if best is None else f"{best:.{digits}f}{unit}"
    return Claim(where, text, *shown, verdict, least)


def statement(
    where: str, text: str, here: str, holds: Sequence[bool], published: str = ""
) -> Claim:
    """Return a claim in words; it holds in part where only some of its checks do."""
    verdict: Verdict = "reproduces" if all(holds) else "partly" if any(holds) else "does not"
    return Claim(where, text, published, here, verdict)


def not_tried(where: str, text: str, reason: str) -> Claim:
    """Return a claim that no replay here is about, with the reason."""
    return Claim(where, text, "", reason, "not tried")


class Results:
    """Cells of the tables that a replay wrote.

    Parameters
    ----------
    folder
        Where the CSV files are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def cell(self, table: str, row: str, column: str) -> str:
        """Return the cell of a table by the beginning of its row and the name of its column."""
        found = [text for name, text in self.column(table, column) if name.startswith(row)]
        if len(found) != 1:
            raise KeyError(f"{table}: {len(found)} rows begin with {row!r}")
        return found[0]

    def value(self, table: str, row: str, column: str) -> float:
        """Return the same as a number; of ``4.29 (3.1–6.0)`` the mean in front."""
        return float(self.cell(table, row, column).split()[0].rstrip(","))

    def column(self, table: str, column: str) -> list[tuple[str, str]]:
        """Return the rows' names with their cells of a column."""
        with (self._folder / f"{table}.csv").open(encoding="utf-8", newline="") as file:
            head, *rows = csv.reader(file)
        at = head.index(column)
        return [(row[0], row[at]) for row in rows]


def claims_table(paper: str, claims: Sequence[Claim]) -> Table:
    """Return the claims of a paper as a table."""
    head = ["place", "claim", "paper", "here", "best possible", "verdict"]
    rows = [
        [claim.where, claim.text, claim.published, claim.here, claim.best, claim.verdict]
        for claim in claims
    ]
    return Table(f"claims-{paper}", head, rows, text=(0, 1, 3, 5))
