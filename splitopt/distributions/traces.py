"""Measured rounds and columns from CSV files; a missing value is refused with its line."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from splitopt.distributions.base import FloatArray
from splitopt.errors import InputError
from splitopt.files import read_text

MISSING = ("", "nan", "na", "n/a", "null", "none", "-")


@dataclass(frozen=True, eq=False)
class Trace:
    """Rounds in which all devices were measured.

    Parameters
    ----------
    devices
        Their N names.
    values
        Quantity -> shape (R, N), such as ``compute_flop_per_s`` and ``snr_db``.
    """

    devices: tuple[str, ...]
    values: Mapping[str, FloatArray]

    def __post_init__(self) -> None:
        shapes = {np.shape(table) for table in self.values.values()}
        if len(shapes) != 1 or len(next(iter(shapes))) != 2:
            raise InputError.at("trace", "needs tables of one shape, rounds by devices")
        if next(iter(shapes))[1] != len(self.devices) or 0 in next(iter(shapes)):
            raise InputError.at("trace", f"needs a column for each of {len(self.devices)} devices")

    @property
    def rounds(self) -> int:
        """Number of rounds R."""
        return int(next(iter(self.values.values())).shape[0])

    def at(self, index: int) -> dict[str, FloatArray]:
        """Give what was measured in one round, shape (N,) per quantity."""
        return {name: table[index] for name, table in self.values.items()}

    def ordered(self, devices: Sequence[str], source: str = "trace") -> Trace:
        """Give the trace with its columns in the order of these devices.

        Raises
        ------
        InputError
            A device is not in the trace, or the other way round.
        """
        for name in devices:
            if name not in self.devices:
                raise InputError.at(source, f"has no rows of the device {name!r}")
        for name in self.devices:
            if name not in devices:
                raise InputError.at(source, f"has rows of {name!r}, which is not a device")
        order = [self.devices.index(name) for name in devices]
        return Trace(tuple(devices), {key: table[:, order] for key, table in self.values.items()})


def read_column(path: str | Path, column: str) -> list[float]:
    """Read one column of numbers from a CSV file with a header.

    Raises
    ------
    InputError
        The file or column is not there, or a value is missing or not a number; the line is named.
    """
    return [_number(cell, path, line, column) for line, (cell,) in _rows(path, (column,))]


def read_trace(path: str | Path, quantities: Sequence[str]) -> Trace:
    """Read rounds from a CSV file with the columns ``round``, ``device`` and some quantities.

    Every round needs one row for every device. Rounds are taken in the order in which they first
    appear, whatever they are called.

    Parameters
    ----------
    path
        The file.
    quantities
        Columns to take where the file has them; at least one must be there.

    Raises
    ------
    InputError
        A column, a row or a value is missing, a row stands twice, or a value is not a number; the
        line or the round is named.
    """
    header = _header(path)
    found = [name for name in quantities if name in header]
    if not found:
        raise InputError(f"{path}: has none of the columns {', '.join(quantities)}")
    cells: dict[str, dict[str, list[float]]] = {}
    names: dict[str, None] = {}
    for line, (number, device, *values) in _rows(path, ("round", "device", *found)):
        for column, cell in (("round", number), ("device", device)):
            if cell.strip().lower() in MISSING:
                raise InputError(f"{path}: line {line}: {column!r} is missing")
        row = [_number(cell, path, line, name) for cell, name in zip(values, found, strict=True)]
        measured = cells.setdefault(number.strip(), {})
        if device.strip() in measured:
            raise InputError(f"{path}: line {line}: round {number} has {device!r} twice")
        measured[device.strip()] = row
        names[device.strip()] = None
    for number, measured in cells.items():
        for name in names:
            if name not in measured:
                raise InputError(f"{path}: round {number} has no row of the device {name!r}")
    table = np.array([[measured[name] for name in names] for measured in cells.values()])
    return Trace(tuple(names), {key: table[:, :, i] for i, key in enumerate(found)})


def write_trace(trace: Trace) -> str:
    """Give the CSV text that `read_trace` reads back."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["round", "device", *trace.values])
    for index in range(trace.rounds):
        for n, name in enumerate(trace.devices):
            writer.writerow([index + 1, name, *(float(t[index, n]) for t in trace.values.values())])
    return stream.getvalue()


def _header(path: str | Path) -> list[str]:
    reader = csv.reader(io.StringIO(read_text(path)))
    header = [name.strip() for name in next(reader, [])]
    if not any(header):
        raise InputError(f"{path}: line 1: has no header; name the columns there")
    for name in header:
        if header.count(name) > 1:
            raise InputError(f"{path}: line 1: the column {name!r} stands twice")
    return header


def _rows(path: str | Path, columns: Sequence[str]) -> list[tuple[int, list[str]]]:
    """Give the line number and the wanted cells of every row."""
    header = _header(path)
    for name in columns:
        if name not in header:
            raise InputError(f"{path}: line 1: there is no column {name!r}")
    places = [header.index(name) for name in columns]
    reader = csv.reader(io.StringIO(read_text(path)))
    next(reader)
    found = []
    try:
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise InputError(
                    f"{path}: line {reader.line_num}: has {len(row)} values for the "
                    f"{len(header)} columns"
                )
            found.append((reader.line_num, [row[place] for place in places]))
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: is not CSV ({error})") from None
    if not found:
        raise InputError(f"{path}: has no rows below its header")
    return found


def _number(cell: Any, path: str | Path, line: int, column: str) -> float:
    text = cell.strip()
    if text.lower() in MISSING:
        raise InputError(
            f"{path}: line {line}: {column!r} is missing; fill it in or leave out the round"
        )
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{path}: line {line}: {column!r} is {text!r}, it must be a finite number")
    return value
