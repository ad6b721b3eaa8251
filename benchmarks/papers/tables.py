"""A table with a title and a note, written as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from splitopt.storage.writing import write_atomic

Cell = str | float | None


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers; None is an empty cell.

    Parameters
    ----------
    name
        The file without its suffix.
    head
        Names of the columns.
    rows
        Cells, one per column.
    note
        Markdown that stands above the table.
    digits
        Decimals of the numbers.
    text
        The columns of text, which stand at the left.
    """

    name: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    digits: int = 2
    text: Sequence[int] = (0,)

    def markdown(self) -> str:
        """Write the note and the table in Markdown."""
        marks = ["---" if column in self.text else "---:" for column in range(len(self.head))]
        lines = [_line(self.head), _line(marks)]
        lines += [_line([self._text(cell) or "–" for cell in row]) for row in self.rows]
        above = f"{self.note.strip()}\n\n" if self.note else ""
        return above + "\n".join(lines) + "\n"

    def csv(self) -> str:
        """Write the table as CSV."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([name.replace("`", "") for name in self.head])
        writer.writerows([[self._text(cell) for cell in row] for row in self.rows])
        return text.getvalue()

    def save(self, folder: Path) -> None:
        """Write both files."""
        write_atomic(folder / f"{self.name}.md", self.markdown())
        write_atomic(folder / f"{self.name}.csv", self.csv())

    def _text(self, cell: Cell) -> str:
        if isinstance(cell, str) or cell is None:
            return cell or ""
        text = f"{cell:.{self.digits}f}"
        return text.lstrip("-") if float(text) == 0 else text


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
