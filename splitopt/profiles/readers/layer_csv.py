"""Profiles as CSV: a row per layer, each layer by itself, as a spreadsheet would have it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from splitopt.documents.csv_tables import Table, number, read_table, rows_of
from splitopt.errors import InputError, shown
from splitopt.profiles.table.arrays import Array
from splitopt.profiles.table.machine_times import COLUMNS, MachineTimes
from splitopt.profiles.table.profile import ModelProfile
from splitopt.profiles.table.provenance import Provenance
from splitopt.storage.writing import write_atomic

REQUIRED = ("layer", "forward_flop", "backward_flop", "output_bytes", "parameter_bytes")
OPTIONAL = ("trained_bytes", "gradient_bytes", "saved_bytes", "leakage")


def is_layer_csv(text: str) -> bool:
    """Whether a text starts with the header of such a file."""
    try:
        header = rows_of(text.lstrip().partition("\n")[0], "")
    except InputError:  # no CSV at all
        return False
    return bool(header) and "layer" in header[0].cells


def read_layer_csv(path: str | Path, name: str | None = None) -> ModelProfile:
    """Read a profile from a CSV file with a header.

    Columns, per sample: ``layer``, ``forward_flop``, ``backward_flop`` (1 MAC = 2 FLOP),
    ``output_bytes`` and ``parameter_bytes``; optional are ``trained_bytes`` (of the parameters that
    training changes, all by default), ``gradient_bytes`` (that of the output, as large as the
    output by default), ``saved_bytes`` (kept for the backward pass), ``leakage``
    (of a cut behind the layer), and for machines ``MACHINE:forward_s``, ``MACHINE:backward_s`` and
    ``MACHINE:update_s``, where three empty cells mean that the layer was not measured.

    Raises
    ------
    InputError
        A column that is missing or unknown, or a cell that is not a number >= 0.
    """
    source = str(path)
    table = read_table(path)
    machines = _machines(table.columns, source)
    column = {
        key: _numbers(table, key) for key in (*REQUIRED[1:], *OPTIONAL) if key in table.columns
    }
    forward, backward = np.cumsum(column["forward_flop"]), np.cumsum(column["backward_flop"])
    smashed = column["output_bytes"].copy()
    gradient = column.get("gradient_bytes", smashed).copy()
    smashed[-1] = gradient[-1] = 0.0
    parameters = column["parameter_bytes"]
    trained = column.get("trained_bytes", parameters)
    if (trained > parameters).any():
        at = int(np.flatnonzero(trained > parameters)[0])
        raise InputError(
            f"{source}: trained_bytes in line {table.rows[at].line} is {trained[at]:g}, more than "
            f"the {parameters[at]:g} of parameter_bytes, of which it is a part"
        )
    saved = column.get("saved_bytes")
    try:
        return ModelProfile(
            name=name or Path(path).stem,
            layers=tuple(cell for _, (cell,) in table.cells("layer")),
            device_forward_flop=forward,
            device_backward_flop=backward,
            server_forward_flop=forward[-1] - forward,
            server_backward_flop=backward[-1] - backward,
            smashed_bytes=smashed,
            gradient_bytes=gradient,
            device_model_bytes=np.cumsum(trained),
            device_memory_fixed_bytes=None if saved is None else np.cumsum(parameters + trained),
            device_memory_per_sample_bytes=None if saved is None else np.cumsum(saved),
            layer_parameter_bytes=parameters,
            layer_output_bytes=column["output_bytes"],
            layer_saved_bytes=saved,
            layer_trained_bytes=column.get("trained_bytes"),
            leakage=column.get("leakage"),
            work_unit="FLOP",
            provenance=Provenance(kind="user", source=f"read from {Path(path).name}"),
            machines={machine: _times(table, machine) for machine in machines},
        )
    except InputError as error:
        raise InputError(f"{source}: {error}") from None


def write_layer_csv(profile: ModelProfile, path: str | Path) -> None:
    """Write a profile in that form; what it does not state is left out."""
    columns: dict[str, list[str]] = {"layer": list(profile.layers)}

    def put(key: str, values: Array | None) -> None:
        if values is not None:
            columns[key] = [repr(float(value)) for value in values]

    put("forward_flop", np.diff(profile.device_forward_flop, prepend=0.0))
    put("backward_flop", np.diff(profile.device_backward_flop, prepend=0.0))
    output = profile.layer_output_bytes
    put("output_bytes", profile.smashed_bytes if output is None else output)
    put("gradient_bytes", profile.gradient_bytes)
    frozen = profile.layer_trained_bytes is not None
    trained = np.diff(profile.device_model_bytes, prepend=0.0)
    put("parameter_bytes", profile.layer_parameter_bytes if frozen else trained)
    put("trained_bytes", trained if frozen else None)
    kept = profile.device_memory_per_sample_bytes
    put("saved_bytes", None if kept is None else np.diff(kept, prepend=0.0))
    put("leakage", profile.leakage)
    for machine, times in profile.machines.items():
        for key in COLUMNS:
            cells = [repr(float(value)) for value in getattr(times, key)]
            columns[f"{machine}:{key}"] = [
                cell if there else "" for cell, there in zip(cells, times.measured, strict=True)
            ]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    write_atomic(path, out.getvalue())


def _machines(header: Sequence[str], source: str) -> list[str]:
    """Check the header and give the machines that it has times of."""
    for key in REQUIRED:
        if key not in header:
            raise InputError(
                f"{source}: the column {key!r} is missing; there must be {', '.join(REQUIRED)}"
            )
    found: list[str] = []
    for key in header:
        machine, colon, kind = key.rpartition(":")
        if colon and kind in COLUMNS and machine:
            found.append(machine)
        elif key not in REQUIRED + OPTIONAL:
            raise InputError(
                f"{source}: the column {shown(key)} is unknown; known are "
                f"{', '.join(REQUIRED + OPTIONAL)} and MACHINE:{COLUMNS[0]} and the like"
            )
    machines = list(dict.fromkeys(found))
    for machine in machines:
        if found.count(machine) != len(COLUMNS):
            wanted = ", ".join(f"{machine}:{key}" for key in COLUMNS)
            raise InputError(f"{source}: a machine has three columns: {wanted}")
    return machines


def _numbers(table: Table, key: str) -> Array:
    found = [number(cell, table.place(row, key), 0) for row, (cell,) in table.cells(key)]
    return np.array(found, dtype=np.float64)


def _times(table: Table, machine: str) -> MachineTimes:
    keys = [f"{machine}:{key}" for key in COLUMNS]
    measured, seconds = [], []
    for row, cells in table.cells(*keys):
        measured.append(any(cells))
        places = [table.place(row, key) for key in keys]
        seconds.append(
            [number(cell, place, 0) for cell, place in zip(cells, places, strict=True)]
            if any(cells)
            else [0.0] * len(keys)
        )
    forward, backward, update = np.array(seconds, dtype=np.float64).T
    return MachineTimes(forward, backward, update, np.array(measured, dtype=np.bool_))
