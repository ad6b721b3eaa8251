"""``csv``: every table of a plan as a CSV file (RFC 4180), with units in the headings."""

from __future__ import annotations

import csv
import io

from splitopt.export.plan_job import PlanJob
from splitopt.export.tables.content import Cell, PlanTable, tables_of
from splitopt.export.tables.safe_text import harmless


def files(job: PlanJob) -> dict[str, bytes]:
    """Return the files of the folder, by name."""
    return {f"{table.name}.csv": csv_bytes(table) for table in tables_of(job)}


def csv_bytes(table: PlanTable) -> bytes:
    """Return a table as UTF-8; numbers are written so that they are read back to the bit."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([harmless(column.heading) for column in table.columns])
    writer.writerows([_written(cell) for cell in cells] for cells in table.cells())
    return text.getvalue().encode()


def _written(cell: Cell) -> str:
    if cell is None:
        return ""
    return harmless(cell) if isinstance(cell, str) else repr(cell)
