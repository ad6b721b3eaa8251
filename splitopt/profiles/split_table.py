"""Tables of measured splits and of measured messages, as CSV files with a header."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from splitopt.errors import InputError
from splitopt.files import read_text
from splitopt.profiles.fields import Array
from splitopt.profiles.machine_fit import Observation
from splitopt.profiles.model import ModelProfile
from splitopt.profiles.operator_counts import PHASES
from splitopt.profiles.relative_fit import relative_nnls

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
    for line, row in _rows(path, SPLIT_COLUMNS):
        name = row["network"]
        if name not in profiles:
            raise InputError(
                f"{path}: line {line}: there is no profile of the network {name!r}; given are "
                f"{', '.join(profiles)}"
            )
        profile = profiles[name]
        counts = profile.operator_counts(name)
        layers = np.sum([counts.per_sample(phase, batch) for phase in MEASURED[measured]], axis=0)
        cut = _cut(row["split"], profile, f"{path}: line {line}")
        for key, part in (("device_s", layers[:cut]), ("server_s", layers[cut:])):
            seconds = _number(row[key] or "0", key, f"{path}: line {line}")
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
    cells = [
        (_number(row["bytes"], "bytes", at), _number(row["seconds"], "seconds", at))
        for line, row in _rows(path, MESSAGE_COLUMNS)
        for at in [f"{path}: line {line}"]
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


def _rows(path: str | Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Read a CSV file with exactly these columns, each row with the number of its line."""
    reader = csv.reader(io.StringIO(read_text(path).lstrip("\ufeff")))
    lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    lines = [(number, row) for number, row in lines if any(row)]
    if not lines or sorted(lines[0][1]) != sorted(columns):
        raise InputError(f"{path}: must start with the columns {','.join(columns)}")
    header = lines[0][1]
    if len(lines) == 1:
        raise InputError(f"{path}: has a header but no rows")
    for number, row in lines[1:]:
        if len(row) != len(header):
            raise InputError(
                f"{path}: line {number} has {len(row)} cells, the header has {len(header)}"
            )
    return [(number, dict(zip(header, row, strict=True))) for number, row in lines[1:]]


def _cut(text: str, profile: ModelProfile, place: str) -> int:
    """Return the number of layers in front of a split."""
    if text in profile.layers:
        return profile.layers.index(text) + 1
    if text.isdecimal() and 1 <= int(text) <= profile.layer_count:
        return int(text)
    raise InputError(
        f"{place}, split: {text!r} is neither a layer of {profile.name} nor a number from 1 to "
        f"{profile.layer_count}"
    )


def _number(text: str, key: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise InputError(f"{place}, {key}: {text!r} is not a number that is 0 or more")
    return value
