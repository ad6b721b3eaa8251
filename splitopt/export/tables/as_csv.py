"""``csv``: every table of a plan as a CSV file (RFC 4180), with units in the headings."""

from __future__ import annotations

import csv
import io

from splitopt.export.plan_job import PlanJob, plan_job
from splitopt.export.tables.content import Cell, PlanTable, tables_of
from splitopt.export.tables.safe_text import harmless
from splitopt.plans import Plan

_MAIN = ("groups_rows", "nodes", "machines", "devices")
"""Tables by what a reader looks for first; a pipeline has nodes and devices."""


def files(job: PlanJob) -> dict[str, bytes]:
    """Return the files of the folder, by name."""
    return {f"{table.name}.csv": csv_bytes(table) for table in tables_of(job)}


def main_csv(plan: Plan, source: str = "plan") -> bytes:
    """Return the table of who gets what: groups, nodes, devices or machines, whichever there are.

    Raises
    ------
    InfeasibleError
        The plan has no decision.
    """
    found = {table.name: table for table in tables_of(plan_job(plan, source))}
    name = next((name for name in _MAIN if name in found), "plan")
    return csv_bytes(found[name])


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
