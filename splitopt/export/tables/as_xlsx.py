"""``xlsx``: all tables of a plan as one workbook of Office Open XML, a sheet for each.

Every text is stored as a text, so that none is calculated, whatever it begins with.
"""

from __future__ import annotations

import io
from datetime import datetime
from typing import Any

from splitopt.errors import InputError
from splitopt.export.plan_job import PlanJob
from splitopt.export.tables.content import Cell, PlanTable, tables_of

_MOST_OF_A_NAME = 31
_MOST_OF_A_CELL = 32_767
_ALL_ALIKE = datetime(2020, 1, 1)  # a plan gives the same bytes whenever it is written
_WIDEST = 60


def files(job: PlanJob) -> dict[str, bytes]:
    """Return the files of the folder, by name."""
    import xlsxwriter

    written = io.BytesIO()
    book = xlsxwriter.Workbook(written, {"in_memory": True})
    book.set_properties({"created": _ALL_ALIKE, "title": job.plan.problem})
    bold = book.add_format({"bold": True})
    for table, name in _named(tables_of(job)):
        sheet = book.add_worksheet(name)
        sheet.freeze_panes(1, 0)
        for place, column in enumerate(table.columns):
            sheet.write_string(0, place, column.heading, bold)
            sheet.set_column(place, place, _width(table, place))
        for row, cells in enumerate(table.cells(), start=1):
            for place, cell in enumerate(cells):
                _write(sheet, row, place, cell)
    book.close()
    return {"plan.xlsx": written.getvalue()}


def _named(tables: list[PlanTable]) -> list[tuple[PlanTable, str]]:
    """Return for each table a name that a sheet may have: 31 characters, no two alike."""
    found: list[tuple[PlanTable, str]] = []
    for table in tables:
        name, number = table.name[:_MOST_OF_A_NAME], 2
        while name.lower() in {known.lower() for _, known in found}:
            name, number = f"{table.name[: _MOST_OF_A_NAME - 3]}_{number}", number + 1
        found.append((table, name))
    return found


def _write(sheet: Any, row: int, place: int, cell: Cell) -> None:
    if cell is None:
        return
    if isinstance(cell, str):
        if len(cell) > _MOST_OF_A_CELL:
            raise InputError(
                f"a text of {len(cell):,} characters is longer than a cell of a workbook, which "
                f"holds {_MOST_OF_A_CELL:,}; export to csv, json or parquet"
            )
        sheet.write_string(row, place, cell)
    else:
        sheet.write_number(row, place, cell)


def _width(table: PlanTable, place: int) -> int:
    """Return how wide a column is to be, from its heading and its first texts."""
    key = table.columns[place].key
    texts = [table.columns[place].heading, *(str(row.get(key, "")) for row in table.rows[:50])]
    return min(_WIDEST, max(map(len, texts)) + 2)
