"""Tables of measured splits and of measured messages, as CSV files with a header."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from splitopt.documents.csv_tables import number, read_table
from splitopt.errors import InputError, shown
from splitopt.profiles.fitting.machine_fit import Observation
from splitopt.profiles.fitting.relative_fit import relative_nnls
from splitopt.profiles.table.arrays import Array
from splitopt.profiles.table.operator_counts import PHASES
from splitopt.profiles.table.profile import ModelProfile

SPLIT_COLUMNS = ("network", "split", "device_s", "server_s")
MESSAGE_COLUMNS = ("bytes", "seconds")
MEASURED = {"forward": PHASES[:1], "training": PHASES}
"""What was measured -> the phases that it consists of."""


def read_splits(
    path: str | Path, profiles: Mapping[str, ModelProfile], batch: int, measured: str
) -> list[Observation]:
    """Read seconds of a batch in front of and behind splits, both on machines of one kind.

    Columns: ``network``, the name of a profile; ``split``, its cut by number or by name; and
    ``device_s`` and ``server_s``, of the layers in front and behind; an empty cell or 0 was not
    measured.

    Parameters
    ----------
    path
        The file.
    profiles
        By name, with operators.
    batch
        Samples in a batch.
    measured
        ``forward`` passes alone, or ``training``: forward, backward and update.

    Raises
    ------
    InputError
        A column that is missing or unknown, a network or split that is not there, or a cell that
        is not a number >= 0; `measured` or `batch` is none of those.
    """
    if measured not in MEASURED:
        raise InputError.at(
            "measured", f"is {measured!r}; choose one of {', '.join(map(repr, MEASURED))}"
        )
    if batch < 1:
        raise InputError.at("batch", f"is {batch}; give a whole number >= 1")
    rows: dict[str, list[tuple[Array, float]]] = {}
    table = read_table(path, SPLIT_COLUMNS)
    for row, (name, split, *times) in table.cells(*SPLIT_COLUMNS):
        if name not in profiles:
            raise InputError(
                f"{path}: line {row.line}: there is no profile of the network {shown(name)}; given "
                f"are {', '.join(profiles)}"
            )
        profile = profiles[name]
        counts = profile.operator_counts(name)
        layers = np.sum([counts.per_sample(phase, batch) for phase in MEASURED[measured]], axis=0)
        cut = _cut(split, profile, f"{path}: line {row.line}")
        parts = (layers[:cut], layers[cut:])
        for key, cell, part in zip(SPLIT_COLUMNS[2:], times, parts, strict=True):
            seconds = number(cell or "0", table.place(row, key), 0)
            if seconds > 0:
                rows.setdefault(name, []).append((part.sum(axis=0), seconds / batch))
    return [
        Observation(
            name,
            np.array([counts for counts, _ in found]),
            np.array([seconds for _, seconds in found]),
        )
        for name, found in rows.items()
    ]


class Messages(NamedTuple):
    """What messages take: seconds of each, whatever its size, and B/s of what it carries."""

    message_s: float
    bytes_per_s: float


def read_messages(path: str | Path) -> Messages:
    """Fit a fixed cost and a rate to measured messages, columns ``bytes`` and ``seconds``.

    Raises
    ------
    InputError
        A column that is missing or unknown, a cell that is not a number above 0, fewer than two
        sizes, or seconds that do not grow with the bytes.
    """
    found = read_table(path, MESSAGE_COLUMNS)
    cells = [
        [
            number(cell, found.place(row, key), 0)
            for key, cell in zip(MESSAGE_COLUMNS, read, strict=True)
        ]
        for row, read in found.cells(*MESSAGE_COLUMNS)
    ]
    table = np.array(cells, dtype=np.float64)
    if (table <= 0).any():
        raise InputError(f"{path}: holds a 0; give bytes and seconds above 0")
    if len(np.unique(table[:, 0])) < 2:
        raise InputError(f"{path}: all messages have one size; measure two sizes at least")
    return fit_messages(table[:, 0], table[:, 1], str(path))


def fit_messages(sizes: Array, seconds: Array, source: str) -> Messages:
    """Fit seconds as a fixed cost plus bytes over a rate, in relative error, both >= 0."""
    design = np.column_stack((np.ones_like(sizes), sizes))
    fixed, per_byte = relative_nnls(design, seconds, np.ones_like(seconds))
    if per_byte <= 0:
        raise InputError(f"{source}: the seconds do not grow with the bytes, so no rate follows")
    return Messages(float(fixed), float(1 / per_byte))


def _cut(text: str, profile: ModelProfile, place: str) -> int:
    """Return the number of layers in front of a split."""
    if text in profile.layers:
        return profile.layers.index(text) + 1
    if text.isdecimal() and len(text) < 10 and 1 <= int(text) <= profile.layer_count:
        return int(text)
    raise InputError(
        f"{place}, split: {shown(text)} is neither a layer of {profile.name} nor a number from 1 "
        f"to {profile.layer_count}"
    )
