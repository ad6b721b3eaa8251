"""Files of columns with a header: CSV and Parquet, read column by column without an object a row.

A million rows of ten columns are ten arrays. An empty cell of a column of numbers is NaN. Sizes are
asked before anything is read or allocated.
"""

from __future__ import annotations

import csv
import importlib.util
import io
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from splitopt.documents.csv_tables import number, separator
from splitopt.documents.reading import MOST_TEXT, read_bytes, read_text
from splitopt.errors import CapabilityError, InputError, shown

FloatArray = npt.NDArray[np.float64]
Columns = dict[str, Any]
"""Name of a column -> FloatArray (N,), or a list of N texts."""

MOST_ROWS = 2_000_000
MOST_COLUMNS = 100
_MOST_UNPACKED = 2**30
"""Bytes that the columns of a Parquet file may unpack to."""
_BLOCK = 2**21
"""Characters of a CSV file that are taken apart at a time."""


class ColumnFile(Protocol):
    """A file whose header is known and whose columns can be read."""

    @property
    def source(self) -> str:
        """Return what messages call the file."""
        ...

    @property
    def header(self) -> tuple[str, ...]:
        """Return the names of the columns, each once."""
        ...

    def place(self, row: int, column: str) -> str:
        """Return where a cell stands, for messages; rows are counted from 0."""
        ...

    def read(self, texts: Collection[str]) -> Columns:
        """Return all columns: numbers, and texts without blanks around them where asked for.

        Raises
        ------
        InputError
            A cell is no finite number, there are no rows, or more than `MOST_ROWS`.
        """
        ...


def open_columns(path: str | Path) -> ColumnFile:
    """Open a file of columns: Parquet if its name ends in ``.parquet``, else CSV.

    Raises
    ------
    InputError
        It cannot be read, is too large, or has no header.
    CapabilityError
        It is Parquet, and the extra for it is not installed.
    """
    if Path(path).suffix.lower() in (".parquet", ".pq"):
        return ParquetColumns.open(path)
    return CsvColumns.of(read_text(path, MOST_TEXT), str(path))


@dataclass(frozen=True)
class CsvColumns:
    """A CSV text with a header; commas, semicolons or tabs stand between the cells."""

    source: str
    header: tuple[str, ...]
    text: str
    sign: str

    @classmethod
    def of(cls, text: str, source: str) -> CsvColumns:
        """Read the header of a CSV text."""
        sign = separator(text)
        lines = csv.reader(io.StringIO(text), delimiter=sign, skipinitialspace=True, strict=True)
        try:
            header = next((row for row in lines if any(cell.strip() for cell in row)), [])
        except csv.Error as error:
            raise InputError(f"{source}: line {lines.line_num}: is not CSV ({error})") from None
        names = tuple(cell.strip() for cell in header)
        _check_header(names, f"{source}: line {lines.line_num or 1}")
        return cls(source, names, text, sign)

    def place(self, row: int, column: str) -> str:
        """Return file, line and column of a cell."""
        for index, (line, _) in enumerate(self._rows()):
            if index == row:
                return f"{self.source}: line {line}: {column}"
        return f"{self.source}: {column}"

    def read(self, texts: Collection[str]) -> Columns:
        """Return all columns."""
        parts: dict[str, list[Any]] = {name: [] for name in self.header}
        done = 0
        for rows in self._blocks():
            for name, cells in zip(self.header, rows, strict=True):
                if name in texts:
                    parts[name] += [cell.strip() for cell in cells]
                else:
                    parts[name].append(_numbers(cells, self._placer(done, name)))
            done += len(rows[0])
            if done > MOST_ROWS:
                raise _too_many_rows(self.source)
        if not done:
            raise InputError(f"{self.source}: has a header but no rows below it")
        return {
            name: part if name in texts else np.concatenate(part) for name, part in parts.items()
        }

    def _placer(self, done: int, column: str) -> Callable[[int], str]:
        return lambda row: self.place(done + row, column)

    def _blocks(self) -> Iterator[Sequence[Sequence[str]]]:
        """Yield the cells of some rows after others, column by column.

        Lines with as many separators as the header and without quotes are cut there, which is
        several times as fast as the reader of CSV; whatever else there is, that takes.
        """
        width = len(self.header)
        if '"' in self.text:
            yield from self._read_blocks()
            return
        end = self.text.find("\n", self.text.find(self.header[0]))
        while 0 <= end < len(self.text):
            start, end = end + 1, self.text.find("\n", end + 1 + _BLOCK)
            end = len(self.text) if end < 0 else end
            block = self.text[start:end]
            block = block.strip("\n")
            if not block:
                continue
            # With a cell of its own for every line end, rows of the right length end at each
            # place in width + 1, and any other row moves those behind it out of place.
            cells = block.replace("\n", f"{self.sign}\n{self.sign}").split(self.sign)
            if len(cells) % (width + 1) != width or set(cells[width :: width + 1]) - {"\n"}:
                yield from self._read_blocks(self.text.count("\n", 0, start))
                return
            columns = [cells[k :: width + 1] for k in range(width)]
            if "" in columns[0] and any(not any(row) for row in zip(*columns, strict=True)):
                kept = [row for row in zip(*columns, strict=True) if any(row)]
                columns = [list(column) for column in zip(*kept, strict=True)]
            if columns and columns[0]:
                yield columns

    def _read_blocks(self, done: int = 0) -> Iterator[Sequence[Sequence[str]]]:
        """Yield the same by the reader of CSV, of what stands below line `done`."""
        rows: list[list[str]] = []
        for line, row in self._rows():
            if line <= done:
                continue
            rows.append(row)
            if len(rows) == 20_000:
                yield list(zip(*rows, strict=True))
                rows = []
        if rows:
            yield list(zip(*rows, strict=True))

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield line and cells of every row below the header, each as long as that."""
        reader = csv.reader(
            io.StringIO(self.text), delimiter=self.sign, skipinitialspace=True, strict=True
        )
        below = False
        try:
            for row in reader:
                if not any(cell.strip() for cell in row):
                    continue
                if below and len(row) != len(self.header):
                    raise InputError(
                        f"{self.source}: line {reader.line_num} has {len(row)} cells, the header "
                        f"has {len(self.header)}"
                    )
                if below:
                    yield reader.line_num, row
                below = True
        except csv.Error as error:
            raise InputError(
                f"{self.source}: line {reader.line_num}: is not CSV ({error})"
            ) from None


@dataclass(frozen=True)
class ParquetColumns:
    """A Parquet file; its size and its columns are known before anything is read."""

    source: str
    header: tuple[str, ...]
    file: Any

    @classmethod
    def open(cls, path: str | Path) -> ParquetColumns:
        """Read the header of a Parquet file."""
        if importlib.util.find_spec("pyarrow") is None:
            raise CapabilityError(
                f"{path}: a Parquet file needs pyarrow, which is not installed; install it with: "
                "pip install 'splitopt[parquet]', or save the table as CSV"
            )
        import pyarrow
        import pyarrow.parquet

        data = read_bytes(path, MOST_TEXT)
        try:
            file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(data))
            about = file.metadata
            names = tuple(file.schema_arrow.names)
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise InputError(f"{path}: is no Parquet file ({_first_line(error)})") from None
        _check_header(names, str(path))
        if about.num_rows > MOST_ROWS:
            raise _too_many_rows(str(path))
        sizes = [about.row_group(k).total_byte_size for k in range(about.num_row_groups)]
        if sum(sizes) > _MOST_UNPACKED:
            raise InputError(
                f"{path}: unpacks to {sum(sizes) / 2**20:.0f} MiB, more than the "
                f"{_MOST_UNPACKED / 2**20:.0f} MiB that are read of such a file"
            )
        return cls(str(path), names, file)

    def place(self, row: int, column: str) -> str:
        """Return file, row from 1 and column of a cell."""
        return f"{self.source}: row {row + 1}: {column}"

    def read(self, texts: Collection[str]) -> Columns:
        """Return all columns."""
        import pyarrow

        found: Columns = {}
        for name in self.header:
            try:
                column = self.file.read(columns=[name]).column(name)
            except (pyarrow.ArrowException, OSError, ValueError) as error:
                raise InputError(f"{self.source}: {name}: {_first_line(error)}") from None
            if not len(column):
                raise InputError(f"{self.source}: has a header but no rows below it")
            read = self._texts if name in texts else self._numbers
            found[name] = read(name, column)
        return found

    def _texts(self, name: str, column: Any) -> list[str]:
        import pyarrow

        kind = column.type
        if pyarrow.types.is_dictionary(kind):
            column, kind = column.cast(kind.value_type), kind.value_type
        if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
            raise InputError(f"{self.source}: {name}: is a column of {kind}, it must hold texts")
        return ["" if text is None else text.strip() for text in column.to_pylist()]

    def _numbers(self, name: str, column: Any) -> FloatArray:
        import pyarrow

        kind = column.type
        if pyarrow.types.is_null(kind):
            return np.full(len(column), np.nan)
        if not (pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind)):
            texts = column.to_pylist()
            row = next((k for k, cell in enumerate(texts) if cell is not None), 0)
            raise InputError.at(
                self.place(row, name), f"is {shown(texts[row])}; it must be a finite number"
            )
        given = column.is_valid().to_numpy()
        numbers = column.cast(pyarrow.float64(), safe=False).to_numpy()
        odd = given & ~np.isfinite(numbers)
        if odd.any():
            row = int(np.flatnonzero(odd)[0])
            raise InputError.at(
                self.place(row, name), f"is {numbers[row]}; it must be a finite number"
            )
        return np.asarray(numbers, dtype=np.float64)


def _numbers(cells: Sequence[str], place: Callable[[int], str]) -> FloatArray:
    """Return the numbers in cells, NaN where one is empty."""
    some = "".join(cells)
    if some.isascii() and "_" not in some:
        try:
            full = [cell or "nan" for cell in cells] if "" in cells else cells
            numbers = np.array(full, dtype=np.float64)
        except ValueError:
            pass
        else:
            if all(
                not cells[row].strip() for row in np.flatnonzero(~np.isfinite(numbers)).tolist()
            ):
                return numbers
    found = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        if cell.strip():
            try:
                found[row] = number(cell, "")
            except InputError:
                found[row] = number(cell, place(row))
    return found


def _check_header(names: tuple[str, ...], source: str) -> None:
    if not names or not all(names):
        raise InputError(f"{source}: has no header; name each column there")
    if len(names) > MOST_COLUMNS:
        raise InputError(f"{source}: has {len(names)} columns, at most {MOST_COLUMNS} are read")
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{source}: the column {shown(name)} stands twice")


def _too_many_rows(source: str) -> InputError:
    return InputError(
        f"{source}: has more than {MOST_ROWS:,} rows, the most that are read of such a file; count "
        "alike devices in a column 'count'"
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
