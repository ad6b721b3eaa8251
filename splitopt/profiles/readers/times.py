"""Files of measured times in the form ``MODEL__MACHINE.csv`` of the shipped profiles.

One row per layer without a header: milliseconds of the forward pass, the backward pass and the
weight update for a batch. A layer whose forward and backward time are both zero was not measured.
MP-SL's workbooks have the same in a sheet for each machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from splitopt.documents.csv_tables import Row, number, read_rows
from splitopt.documents.sheets import sheet_rows
from splitopt.errors import InputError, shown
from splitopt.profiles.table.arrays import Array
from splitopt.profiles.table.machine_times import COLUMNS, MachineTimes
from splitopt.profiles.table.profile import ModelProfile
from splitopt.storage.writing import write_atomic


def times_path(profile: ModelProfile, machine: str, folder: str | Path) -> Path:
    """Return the file for a machine's times: ``MODEL__MACHINE.csv``."""
    return Path(folder) / f"{profile.name}__{machine}.csv"


def write_times(profile: ModelProfile, machine: str, folder: str | Path, batch: int) -> Path:
    """Write the times of a machine, in ms per batch; rows of zeros were not measured."""
    times = profile.machines[machine]
    rows = np.stack([getattr(times, name) for name in COLUMNS], axis=1) * 1e3 * batch
    text = "".join(",".join(repr(float(value)) for value in row) + "\n" for row in rows)
    path = times_path(profile, machine, folder)
    write_atomic(path, text)
    return path


def with_times(
    profile: ModelProfile, path: str | Path, batch: int, machine: str | None = None
) -> ModelProfile:
    """Add the times of a file to a profile.

    Parameters
    ----------
    profile
        The profile of the model that was measured; it has one layer per row.
    path
        A file as described in the module; of an ``.xlsx`` workbook the sheet named as the machine.
    batch
        Samples in the batch that the times are for; the file does not say.
    machine
        The machine's name, by default what follows ``__`` in the file's name.

    Raises
    ------
    InputError
        A file that is not such a table, another number of rows than layers, or a machine that
        the profile has already.
    """
    if batch < 1:
        raise InputError.at("batch", f"is {batch}; give a whole number >= 1")
    name = machine or Path(path).stem.rpartition("__")[2]
    if name in profile.machines:
        raise InputError(
            f"profile {profile.name!r} has a machine {name!r} already; give another name"
        )
    read = sheet_rows(path, name) if Path(path).suffix == ".xlsx" else read_rows(path)
    rows = times_of(read, str(path))
    if len(rows) != profile.layer_count:
        raise InputError(
            f"{path}: has {len(rows)} rows, but {profile.name} has {profile.layer_count} layers; "
            "one row per layer is needed"
        )
    forward, backward, update = (rows / 1e3 / batch).T
    measured = (forward > 0) | (backward > 0)
    times = MachineTimes(forward, backward, update, measured, batch=batch)
    note = f"Times of {name} were read from {Path(path).name}, for batches of {batch}."
    provenance = replace(profile.provenance, notes=(*profile.provenance.notes, note))
    machines = {**profile.machines, name: times}
    return replace(profile, machines=machines, provenance=provenance)


def times_of(rows: Sequence[Row], source: str) -> Array:
    """Return rows of three numbers >= 0 as an array of shape (rows, 3)."""
    found = []
    for line, cells in rows:
        if len(cells) != len(COLUMNS):
            raise InputError(
                f"{source}: line {line} is {shown(','.join(cells))}; give three numbers >= 0: "
                "milliseconds of forward pass, backward pass and update"
            )
        values = [
            number(cell, f"{source}: line {line}, column {place}", 0)
            for place, cell in enumerate(cells, start=1)
        ]
        if values[0] == values[1] == 0 and values[2] > 0:
            raise InputError(
                f"{source}: line {line} has an update but neither forward nor backward time"
            )
        found.append(values)
    if not found:
        raise InputError(f"{source}: has no rows")
    return np.array(found, dtype=np.float64)
