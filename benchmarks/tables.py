"""What the benchmarks share: the folder of results, and tables as Markdown and CSV."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from splitopt.storage.writing import write_atomic

Columns = Mapping[str, tuple[str, str]]
"""Key of a cell -> heading of its column, and how the cell is written."""


def output_folder(arguments: Sequence[str], module: str, results: Path) -> Path | None:
    """Make the folder that is named, or that of the committed results.

    None if the arguments are no folder; how the module is called has then been said.
    """
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print(f"usage: python -m {module} [FOLDER]", file=sys.stderr)
        return None
    folder = Path(arguments[0]) if arguments else results
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def markdown(rows: Sequence[Sequence[str]], note: str) -> str:
    """Write a table in Markdown, its head first, under a note."""
    head, *body = rows
    lines = [head, ["---:"] * len(head), *body]
    return note + "\n\n" + "".join("| " + " | ".join(line) + " |\n" for line in lines)


def cells(row: Mapping[str, Any], columns: Columns) -> list[str]:
    """Write the cells of a row; one that is missing is a dash."""
    return [
        "–" if row.get(name) is None else text.format(row[name])
        for name, (_, text) in columns.items()
    ]


def printed(
    found: Iterable[Mapping[str, Any]], columns: Columns, between: str = "  "
) -> list[Mapping[str, Any]]:
    """Return rows as they come, and print the cells of each at once."""
    rows = []
    for row in found:
        rows.append(row)
        print(between.join(cells(row, columns)), flush=True)
    return rows


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], columns: Columns, note: str) -> None:
    """Write all that rows hold as CSV, and their columns as Markdown under a note."""
    table = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(table, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(path.with_suffix(".csv"), table.getvalue())
    head = [title for title, _ in columns.values()]
    shown = [head, *(cells(row, columns) for row in rows)]
    write_atomic(path.with_suffix(".md"), markdown(shown, note))
