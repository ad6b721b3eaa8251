"""Reading CSV files, whatever wrote them: with commas, semicolons or tabs between the cells."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from splitopt.documents.reading import MOST_TEXT, read_text
from splitopt.errors import InputError, shown

_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
_QUOTED = re.compile(r'"[^"]*"?')


class Row(NamedTuple):
    """The cells of a row without blanks around them, and the line of the file where it ends."""

    line: int
    cells: list[str]


@dataclass(frozen=True)
class Table:
    """A table with a header, every row as long as it.

    Parameters
    ----------
    source
        The file, for messages.
    columns
        The names in the header, each once.
    rows
        What is below it, at least one row; rows without any cell are left out.
    """

    source: str
    columns: tuple[str, ...]
    rows: list[Row]

    def place(self, row: Row, column: str) -> str:
        """Return where a cell stands, for messages."""
        return f"{self.source}: line {row.line}: {column}"

    def cells(self, *columns: str) -> Iterator[tuple[Row, list[str]]]:
        """Yield each row with its cells in some columns.

        Raises
        ------
        InputError
            There is no such column.
        """
        for name in columns:
            if name not in self.columns:
                raise InputError(
                    f"{self.source}: line 1: there is no column {name!r}, found are "
                    f"{', '.join(map(shown, self.columns[:20]))}; separate the cells by commas"
                )
        places = [self.columns.index(name) for name in columns]
        for row in self.rows:
            yield row, [row.cells[place] for place in places]


def read_table(path: str | Path, columns: Sequence[str] = (), most: int = MOST_TEXT) -> Table:
    """Read a CSV file with a header; see `table_of`."""
    return table_of(read_text(path, most), str(path), columns)


def table_of(text: str, source: str, columns: Sequence[str] = ()) -> Table:
    """Return the table in a text, with exactly these columns in any order if some are given.

    Raises
    ------
    InputError
        It is no CSV, has no header or no rows, a column stands twice, or a row is longer or shorter
        than the header; the line is named.
    """
    found = rows_of(text, source)
    if not found or not all(found[0].cells):
        raise InputError(f"{source}: line 1: has no header; name each column there")
    header = found[0].cells
    for name in header:
        if header.count(name) > 1:
            raise InputError(f"{source}: line 1: the column {shown(name)} stands twice")
    if columns and sorted(header) != sorted(columns):
        raise InputError(f"{source}: must start with the columns {','.join(columns)}")
    if len(found) == 1:
        raise InputError(f"{source}: has a header but no rows below it")
    for row in found[1:]:
        if len(row.cells) != len(header):
            hint = "; write decimal points, not commas" if _has_decimal_commas(row, header) else ""
            raise InputError(
                f"{source}: line {row.line} has {len(row.cells)} cells, the header has "
                f"{len(header)}{hint}"
            )
    return Table(source, tuple(header), found[1:])


def read_rows(path: str | Path, most: int = MOST_TEXT) -> list[Row]:
    """Read a CSV file without a header; see `rows_of`."""
    return rows_of(read_text(path, most), str(path))


def rows_of(text: str, source: str) -> list[Row]:
    """Return the rows in a text, of any lengths; a row without any cell is left out.

    Raises
    ------
    InputError
        A quote is not closed, or a cell is longer than 131,072 characters; the line is named.
    """
    reader = csv.reader(
        io.StringIO(text), delimiter=separator(text), skipinitialspace=True, strict=True
    )
    found = []
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells) or row == [""]:
                found.append(Row(reader.line_num, cells))
    except csv.Error as error:
        raise InputError(f"{source}: line {reader.line_num}: is not CSV ({error})") from None
    return found


def separator(text: str) -> str:
    """Return what stands between the cells: a tab or a semicolon if line 1 has one, else commas."""
    first = _QUOTED.sub("", text.lstrip().partition("\n")[0])
    return next((sign for sign in "\t;" if sign in first), ",")


def number(cell: str, place: str, least: float = -math.inf) -> float:
    """Return the number in a cell.

    Raises
    ------
    InputError
        It is empty, less than `least`, or no finite number in plain decimal digits with a decimal
        point.
    """
    text = cell.strip()
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if math.isfinite(value) and value >= least:
        return value
    if not text:
        raise InputError.at(place, "is empty; give a number")
    if math.isinf(value) and text[-1].isdigit():
        raise InputError.at(place, f"is {shown(text)}, which is beyond all floating-point numbers")
    if _DECIMAL_COMMA.fullmatch(text):
        mend = f"it has a decimal comma, write {shown(text.replace(',', '.'))}"
        raise InputError.at(place, f"is {shown(text)}; {mend}")
    wanted = "a finite number" if least == -math.inf else f"a finite number >= {least:g}"
    raise InputError.at(place, f"is {shown(text)}; it must be {wanted}")


def _has_decimal_commas(row: Row, header: Sequence[str]) -> bool:
    """Report whether a row that is too long for its header may have commas inside its numbers."""
    return len(row.cells) > len(header) and sum(cell.isdigit() for cell in row.cells) > 1
