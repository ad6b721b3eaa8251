"""Profiles as CSV: a row per layer, each layer by itself, as a spreadsheet would have it."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np

from splitopt.errors import InputError
from splitopt.files import read_text, write_atomic
from splitopt.profiles.fields import Array
from splitopt.profiles.machines import COLUMNS, MachineTimes
from splitopt.profiles.model import ModelProfile
from splitopt.profiles.provenance import Provenance

REQUIRED = ("layer", "forward_flop", "backward_flop", "output_bytes", "parameter_bytes")
OPTIONAL = ("trained_bytes", "gradient_bytes", "saved_bytes", "leakage")


def is_layer_csv(text: str) -> bool:
    """Whether a text starts with the header of such a file."""
    first = text.lstrip("\ufeff").partition("\n")[0]
    return "layer" in [cell.strip() for cell in first.split(",")]


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
    rows = list(csv.reader(io.StringIO(read_text(path).lstrip("\ufeff"))))
    rows = [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]
    header, body = rows[0], rows[1:]
    machines = _machines(header, source)
    if not body:
        raise InputError(f"{source}: has a header but no layers")
    for number, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise InputError(
                f"{source}: line {number} has {len(row)} cells, the header has {len(header)}"
            )
    table = {key: [row[k] for row in body] for k, key in enumerate(header)}
    column = {
        key: _numbers(table[key], key, source) for key in (*REQUIRED[1:], *OPTIONAL) if key in table
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
            f"{source}: trained_bytes in line {at + 2} is {trained[at]:g}, more than the "
            f"{parameters[at]:g} of parameter_bytes, of which it is a part"
        )
    saved = column.get("saved_bytes")
    try:
        return ModelProfile(
            name=name or Path(path).stem,
            layers=tuple(table["layer"]),
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
            machines={machine: _times(table, machine, source) for machine in machines},
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


def _machines(header: list[str], source: str) -> list[str]:
    """Check the header and give the machines that it has times of."""
    for key in REQUIRED:
        if key not in header:
            raise InputError(
                f"{source}: the column {key!r} is missing; there must be {', '.join(REQUIRED)}"
            )
    found: list[str] = []
    for key in header:
        machine, colon, kind = key.rpartition(":")
        if header.count(key) > 1:
            raise InputError(f"{source}: the column {key!r} stands there twice")
        if colon and kind in COLUMNS and machine:
            found.append(machine)
        elif key not in REQUIRED + OPTIONAL:
            raise InputError(
                f"{source}: the column {key!r} is unknown; known are "
                f"{', '.join(REQUIRED + OPTIONAL)} and MACHINE:{COLUMNS[0]} and the like"
            )
    machines = list(dict.fromkeys(found))
    for machine in machines:
        if found.count(machine) != len(COLUMNS):
            wanted = ", ".join(f"{machine}:{key}" for key in COLUMNS)
            raise InputError(f"{source}: a machine has three columns: {wanted}")
    return machines


def _numbers(cells: list[str], key: str, source: str) -> Array:
    found = []
    for number, cell in enumerate(cells, start=2):
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value >= 0):
            raise InputError(
                f"{source}: line {number}, {key}: {cell!r} is not a number that is 0 or more"
            )
        found.append(value)
    return np.array(found, dtype=np.float64)


def _times(table: dict[str, list[str]], machine: str, source: str) -> MachineTimes:
    cells = [table[f"{machine}:{key}"] for key in COLUMNS]
    measured = np.array([any(row) for row in zip(*cells, strict=True)], dtype=np.bool_)
    forward, backward, update = (
        _numbers(
            [cell if there else "0" for cell, there in zip(column, measured, strict=True)],
            f"{machine}:{key}",
            source,
        )
        for key, column in zip(COLUMNS, cells, strict=True)
    )
    return MachineTimes(forward, backward, update, measured)
