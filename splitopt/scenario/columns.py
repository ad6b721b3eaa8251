"""Columns of devices read from a file or from plain data, and checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from splitopt import units
from splitopt.documents.column_files import MOST_ROWS, ColumnFile, Columns, open_columns
from splitopt.documents.names import STEERING
from splitopt.documents.packed import unpacked
from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, shown
from splitopt.scenario.device_columns import PLAIN, QUANTITIES, TEXTS, Limits
from splitopt.scenario.device_columns import DeviceColumns as DeviceColumns
from splitopt.scenario.names import first_clash
from splitopt.scenario.parts import DECIBELS
from splitopt.scenario.quantity import LEAST, MOST

FloatArray = npt.NDArray[np.float64]

AS_ENTRIES = 10_000
"""Rows of a file up to which it is read as if its devices were entries of the scenario."""

_IN_DECIBELS = ("transmit_power_dbm", "channel_gain_db", "snr_db")
KNOWN = (*TEXTS, *QUANTITIES, *PLAIN, *_IN_DECIBELS)
_HEADER = re.compile(r"\s*([A-Za-z_]+)\s*(?:\[\s*([^\[\]]*?)\s*\])?\s*$")
_STEERS = re.compile(f"[{STEERING}]")


def read_device_columns(value: Mapping[str, Any], source: str) -> DeviceColumns:
    """Read ``{"columns": {...}}``, as `DeviceColumns.to_plain` writes it.

    Values are lists, packed arrays, or arrays of numpy.

    Raises
    ------
    InputError
        A column is missing, unknown or does not fit; the place is named.
    """
    if set(value) != {"columns"} or not isinstance(value["columns"], Mapping):
        raise InputError.at(
            source, "must be a list of devices, {file: FILE.csv}, or {columns: {name: [...], ...}}"
        )
    return columns_of(_PlainColumns(value["columns"], f"{source}.columns" if source else "columns"))


def read_device_file(path: str | Path) -> DeviceColumns:
    """Read a CSV or Parquet file with a row for each device and units in its header.

    Raises
    ------
    InputError
        The file cannot be read, a column is missing or unknown, or a cell does not fit; row and
        column are named.
    CapabilityError
        It is Parquet, and the extra for it is not installed.
    """
    return columns_of(open_columns(path))


class _PlainColumns:
    """Columns of plain data, as a file of columns."""

    def __init__(self, columns: Mapping[str, Any], source: str) -> None:
        self.source, self._columns = source, columns
        self.header = tuple(str(name) for name in columns)

    def place(self, row: int, column: str) -> str:
        return f"{self.source}.{column}[{row}]"

    def read(self, texts: Collection[str]) -> Columns:
        found: Columns = {}
        for name, given in zip(self.header, self._columns.values(), strict=True):
            place = f"{self.source}.{name}"
            values = unpacked(given, place)
            if isinstance(values, str) or not hasattr(values, "__len__"):
                raise InputError.at(place, f"is {shown(values, 60)}; it must be a list")
            if not len(values) or len(values) > MOST_ROWS:
                raise InputError.at(place, f"has {len(values)} rows; give from 1 to {MOST_ROWS:,}")
            found[name] = (self._texts if name in texts else self._numbers)(name, values)
        return found

    def _texts(self, name: str, values: Any) -> list[str]:
        for row, value in enumerate(values):
            if not isinstance(value, str):
                raise InputError.at(self.place(row, name), f"is {shown(value, 60)}; give a text")
        return list(values)

    def _numbers(self, name: str, values: Any) -> FloatArray:
        if isinstance(values, np.ndarray) and values.dtype.kind in "iuf" and values.ndim == 1:
            return values.astype(np.float64)
        found = np.full(len(values), np.nan)
        for row, value in enumerate(values):
            if value is None:
                continue
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise InputError.at(self.place(row, name), f"is {shown(value, 60)}; give a number")
            try:
                found[row] = float(value)
            except OverflowError:
                found[row] = np.inf
        return found


class _Column(NamedTuple):
    """A column of the header: its title, the field of a device, and SI units in one of its unit."""

    title: str
    name: str
    factor: float


def columns_of(file: ColumnFile) -> DeviceColumns:
    """Check columns and turn them into SI numbers, see `read_device_file`."""
    found = [_read_title(title, file.source) for title in file.header]
    titles = {column.name: column.title for column in found}
    for column in found:
        if titles[column.name] != column.title:
            raise InputError(
                f"{file.source}: {shown(column.title)} and {shown(titles[column.name])} are the "
                "same column; keep one"
            )
    for needed in ("name", "samples"):
        if needed not in titles:
            raise InputError(f"{file.source}: there is no column {needed!r}; add it")
    if not {"compute", "machine"} & set(titles):
        raise InputError(
            f"{file.source}: there is no column 'compute [GFLOP/s]' and none of measured machines, "
            "'machine'; add one"
        )
    read = file.read([titles[name] for name in TEXTS if name in titles])
    sizes = {len(values) for values in read.values()}
    if len(sizes) != 1:
        raise InputError(f"{file.source}: its columns have {sorted(sizes)} rows; give one length")
    numbers: dict[str, FloatArray] = {}
    for column in found:
        if column.name in TEXTS:
            continue
        place = _placer(file, column.title)
        name, values = _linear(column.name, read[column.title] * column.factor, place)
        if name in numbers:
            raise InputError(f"{file.source}: {column.title} and {name} are both given; keep one")
        _check_range(name, values, place)
        if not np.isnan(values).all():
            numbers[name] = values
    machine = read[titles["machine"]] if "machine" in titles else None
    machine = machine if machine is None or any(machine) else None
    order = [name for name in (*PLAIN, *QUANTITIES) if name in numbers]
    rows = DeviceColumns(read[titles["name"]], {name: numbers[name] for name in order}, machine)
    _check_rows(rows, file, titles)
    return rows


def _placer(file: ColumnFile, title: str) -> Callable[[int], str]:
    return lambda row: file.place(row, title)


def _read_title(title: str, source: str) -> _Column:
    """Read the name and the unit of a column."""
    match = _HEADER.match(title)
    if match is None or match[1] not in KNOWN:
        name = title if match is None else match[1]
        raise InputError(
            f"{source}: the column {shown(title, 80)} is unknown; known are {', '.join(KNOWN)}"
            f"{did_you_mean(name, KNOWN)}"
        )
    name, unit = match[1], match[2]
    if name not in QUANTITIES:
        if unit is not None:
            raise InputError(f"{source}: the column {shown(title, 80)} has no unit; write {name!r}")
        return _Column(title, name, 1.0)
    kind = units.KINDS[QUANTITIES[name]]
    if not unit:
        raise InputError(
            f"{source}: the column {shown(title, 80)} has no unit; write it as "
            f"'{name} [{kind.usual[0]}]'"
        )
    try:
        return _Column(title, name, units.parse(f"1 {unit}", kind.name))
    except InputError as error:
        raise InputError(f"{source}: the column {shown(title, 80)}: {error}") from None


def _linear(name: str, values: FloatArray, place: Callable[[int], str]) -> tuple[str, FloatArray]:
    """Turn a column in decibels into the linear one that it stands for."""
    if name not in DECIBELS:
        return name, values
    linear, _, offset = DECIBELS[name]
    bad = ~np.isnan(values) & ~(np.abs(values) <= 1000)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError.at(place(row), f"is {values[row]:g}, it must be from -1000 to 1000")
    return linear, 10.0 ** ((values - offset) / 10)


def _check_range(name: str, values: FloatArray, place: Callable[[int], str]) -> None:
    """Raise `InputError` for the first number of a column that cannot be."""
    if name in QUANTITIES:
        limits = Limits(LEAST, MOST)
        unit = f" {units.KINDS[QUANTITIES[name]].unit}"
    else:
        limits, unit = PLAIN[name], ""
    bad = ~np.isnan(values) & ~((values >= limits.least) & (values <= limits.most))
    if limits.whole:
        bad |= ~np.isnan(values) & (values != np.floor(values))
    if not bad.any():
        return
    row = int(np.flatnonzero(bad)[0])
    kind = "a whole number " if limits.whole else ""
    least = "above 0" if limits.least == 5e-324 else f"from {limits.least:g} to {limits.most:g}"
    if name in QUANTITIES and values[row] <= 0:
        least, unit = "above 0", ""
    raise InputError.at(place(row), f"is {values[row]:g}{unit}; it must be {kind}{least}{unit}")


def _check_rows(rows: DeviceColumns, file: ColumnFile, titles: Mapping[str, str]) -> None:
    """Raise `InputError` for the first row whose cells do not fit each other."""
    _check_names(list(rows.names), _placer(file, titles["name"]))
    for name in rows.machine or ():
        if len(name) > 200 or _STEERS.search(name):
            raise InputError.at(f"{file.source}: machine", f"{shown(name)} is no name of a machine")
    if (lacking := np.isnan(rows.column("samples"))).any():
        row = int(np.flatnonzero(lacking)[0])
        raise InputError.at(file.place(row, titles["samples"]), "is empty; give a whole number")
    measured = rows.machines()[1] >= 0
    odd = measured == ~np.isnan(rows.column("compute"))
    if odd.any():
        row = int(np.flatnonzero(odd)[0])
        column = titles.get("compute", titles.get("machine", ""))
        state = "and 'machine' are both given" if measured[row] else "is empty"
        raise InputError.at(
            file.place(row, column), f"{state}; a device needs exactly one of compute and machine"
        )
    large = rows.column("batch_size") > rows.column("samples")
    if large.any():
        row = int(np.flatnonzero(large)[0])
        size, samples = rows.column("batch_size")[row], rows.column("samples")[row]
        raise InputError.at(
            file.place(row, titles["batch_size"]),
            f"is {size:.0f}, more than the {samples:.0f} samples there are",
        )
    if (clash := first_clash(rows.names, rows.counts)) is not None:
        raise InputError.at(
            file.place(clash.entry, titles["name"]),
            f"the name {shown(clash.name)} stands twice; names must differ",
        )


def _check_names(names: list[str], place: Callable[[int], str]) -> None:
    whole = "".join(names)
    neat = [name.strip() for name in names]
    if all(names) and neat == names and max(map(len, names)) <= 200 and not _STEERS.search(whole):
        return
    for row, name in enumerate(names):
        if not name:
            raise InputError.at(place(row), "is empty; give a name")
        if len(name) > 200:
            raise InputError.at(place(row), f"is {shown(name, 60)}; a name has at most 200 letters")
        if name.strip() != name or _STEERS.search(name):
            raise InputError.at(
                place(row), f"is {shown(name)}; take out blanks at its ends and control characters"
            )
