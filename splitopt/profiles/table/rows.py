"""A profile as a row for every cut, for tables and frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from splitopt.profiles.table.arrays import Array


def cut_rows(layers: Sequence[str], columns: Mapping[str, Array]) -> list[dict[str, Any]]:
    """Return a row for every cut: its number, the last layer on the device, and every column.

    Parameters
    ----------
    layers
        The names of the L layers.
    columns
        Name -> shape (L,), as in `splitopt.ModelProfile.columns`.
    """
    return [
        {
            "cut": index + 1,
            "layer": layer,
            **{name: float(column[index]) for name, column in columns.items()},
        }
        for index, layer in enumerate(layers)
    ]
