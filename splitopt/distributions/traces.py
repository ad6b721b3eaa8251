"""Measured rounds and columns from CSV files; a missing value is refused with its line."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from splitopt.distributions.base import FloatArray
from splitopt.documents.csv_tables import Row, Table, number, read_table
from splitopt.documents.names import clean_name
from splitopt.errors import InputError, shown

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
        """Return what was measured in one round, shape (N,) per quantity."""
        return {name: table[index] for name, table in self.values.items()}

    def ordered(self, devices: Sequence[str], source: str = "trace") -> Trace:
        """Return the trace with its columns in the order of these devices.

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
    table = read_table(path)
    return [_number(cell, table, row, column) for row, (cell,) in table.cells(column)]


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
    table = read_table(path)
    found = [name for name in quantities if name in table.columns]
    if not found:
        raise InputError(f"{path}: has none of the columns {', '.join(quantities)}")
    cells: dict[str, dict[str, list[float]]] = {}
    names: dict[str, None] = {}
    for row, (label, device, *values) in table.cells("round", "device", *found):
        for column, cell in (("round", label), ("device", device)):
            if cell.lower() in MISSING:
                raise InputError(f"{path}: line {row.line}: {column!r} is missing")
        measured = cells.setdefault(label, {})
        if device in measured:
            raise InputError(
                f"{path}: line {row.line}: round {shown(label)} has {shown(device)} twice"
            )
        measured[device] = [
            _number(cell, table, row, name) for cell, name in zip(values, found, strict=True)
        ]
        names[clean_name(device, f"{path}: line {row.line}: device")] = None
    for label, measured in cells.items():
        for name in names:
            if name not in measured:
                raise InputError(
                    f"{path}: round {shown(label)} has no row of the device {shown(name)}"
                )
    numbers = np.array([[measured[name] for name in names] for measured in cells.values()])
    return Trace(tuple(names), {key: numbers[:, :, i] for i, key in enumerate(found)})


def write_trace(trace: Trace) -> str:
    """Return the CSV text that `read_trace` reads back."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["round", "device", *trace.values])
    for index in range(trace.rounds):
        for n, name in enumerate(trace.devices):
            writer.writerow([index + 1, name, *(float(t[index, n]) for t in trace.values.values())])
    return stream.getvalue()


def _number(cell: str, table: Table, row: Row, column: str) -> float:
    if cell.lower() in MISSING:
        raise InputError(
            f"{table.source}: line {row.line}: {column!r} is missing; fill it in or leave out the "
            "round"
        )
    return number(cell, table.place(row, column))
