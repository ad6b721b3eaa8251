"""The columns of a profile's table, and whether they add up to one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from splitopt.errors import InputError
from splitopt.profiles.table.arrays import Array

REQUIRED = (
    "device_forward_flop",
    "device_backward_flop",
    "server_forward_flop",
    "server_backward_flop",
    "smashed_bytes",
    "gradient_bytes",
    "device_model_bytes",
)
"""Columns that every profile has."""
OPTIONAL = (
    "leakage",
    "device_memory_fixed_bytes",
    "device_memory_per_sample_bytes",
    "layer_parameter_bytes",
    "layer_output_bytes",
    "layer_saved_bytes",
    "layer_trained_bytes",
)
UNITS = ("MAC", "FLOP", "none")
"""How work was counted."""

# What all layers by themselves cannot fall short of: the cumulative array at the last cut.
_WHOLES = (
    ("layer_parameter_bytes", "device_model_bytes"),
    ("layer_trained_bytes", "device_model_bytes"),
    ("layer_saved_bytes", "device_memory_per_sample_bytes"),
)
# Nothing is left for the server and nothing crosses once all layers stay on the device.
_ZERO_AT_LAST = ("server_forward_flop", "server_backward_flop", "smashed_bytes", "gradient_bytes")
_RELATIVE = 1e-6
_RISING = ("device_forward_flop", "device_backward_flop", "device_model_bytes")


def check_last_cut(columns: Mapping[str, Array]) -> None:
    """Reject work or bytes at the last cut, where nothing crosses, and a leakage above 1."""
    for name in _ZERO_AT_LAST:
        last = columns[name][-1]
        if last != 0:
            raise InputError.at(
                name,
                f"is {last} at the last cut; there all layers stay on the device and nothing "
                "crosses, so the last entry must be 0",
            )
    leakage = columns.get("leakage")
    if leakage is not None and np.any(leakage > 1):
        at = int(np.flatnonzero(leakage > 1)[0])
        raise InputError.at(
            "leakage", f"entry {at + 1} is {leakage[at]}; give a fraction from 0 to 1"
        )


def check_wholes(columns: Mapping[str, Array], sample_gradients: bool = False) -> None:
    """Reject layers that together have less than the whole model.

    What a device part keeps beside single samples' gradients is more than what layers save.
    """
    for layers, whole in _WHOLES:
        if layers not in columns or whole not in columns:
            continue
        if sample_gradients and whole == "device_memory_per_sample_bytes":
            continue
        total, last = float(columns[layers].sum()), float(columns[whole][-1])
        if total < last * (1 - 1e-9):
            raise InputError.at(
                layers,
                f"adds up to {total:g}, less than the {last:g} of {whole} at the last cut; "
                "correct one of them",
            )


def check_sums(columns: Mapping[str, Array], layers: Sequence[str]) -> None:
    """Reject work that depends on the cut, and a device part that shrinks with it.

    Tables that were evaluated from regression curves, or are printed in a paper, need not add up.

    Parameters
    ----------
    columns
        All `REQUIRED` columns, each of shape ``(L,)``.
    layers
        The names of the L layers, for messages.

    Raises
    ------
    InputError
        With the column, the cut and the numbers.
    """
    for phase in ("forward", "backward"):
        device = columns[f"device_{phase}_flop"]
        whole = device + columns[f"server_{phase}_flop"]
        apart = np.abs(whole - device[-1]) > _RELATIVE * max(float(device[-1]), 1.0)
        if apart.any():
            at = int(np.flatnonzero(apart)[0])
            raise InputError.at(
                f"device_{phase}_flop",
                f"does not add up: with server_{phase}_flop it is {whole[at]:g} at cut {at + 1} "
                f"({layers[at]}), but {device[-1]:g} at the last cut; both parts of a "
                "model make the whole at every cut",
            )
    for name in _RISING:
        column = columns[name]
        falls = np.diff(column) < -_RELATIVE * max(float(column.max()), 1.0)
        if falls.any():
            at = int(np.flatnonzero(falls)[0]) + 1
            raise InputError.at(
                name,
                f"falls from {column[at - 1]:g} to {column[at]:g} at cut {at + 1} "
                f"({layers[at]}); the device's part only grows, so give cumulative numbers",
            )
