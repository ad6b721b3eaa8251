"""Latency over a cut that need not be an integer: regression curves, or a table with lines between.

All functions are pure, take an array namespace (`numpy` or `jax.numpy`) and broadcast over leading
axes, so that JAX can differentiate, ``jit`` and ``vmap`` them; in JAX, call them inside
`splitopt.latency.precision.double_precision`.

What is evaluated are *columns over the cut*: a mapping of a family of curves to its coefficients,
shape (..., K, k), or of ``"table"`` to values, shape (..., K, L), where entry l - 1 is cut l. K
is the number of quantities; the values of several keys add up. A mapping of arrays is a pytree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from splitopt.latency.split_federated import round_latency
from splitopt.profiles.table.curves import curve_value, interpolated

TABLE = "table"
"""The key of columns that are known at integer cuts only."""

Columns = Mapping[str, Any]


def values_at(columns: Columns, cut: Any, xp: Any = np, clip: bool = False) -> Any:
    """Evaluate columns at relaxed cuts.

    Parameters
    ----------
    columns
        Family or ``"table"`` -> array, see the module.
    cut
        Shape (...), from 1 to L. Between two integer cuts a table is the line through both.
    xp
        The array namespace.
    clip
        Take zero for the part of a family where it is negative, as badly fitting curves can be.
        (DP-MORA fits sizes of the model and of what crosses by different families, so that this
        clips each of its curves by itself.)

    Returns
    -------
    array
        Shape (..., K).
    """
    at = xp.asarray(cut)[..., None]
    parts = [
        interpolated(array, at, xp) if name == TABLE else curve_value(name, array, at, xp)
        for name, array in columns.items()
    ]
    if clip:
        parts = [xp.maximum(part, 0.0) for part in parts]
    return sum(parts[1:], start=parts[0])


def latency_at(phases: Columns, cut: Any, shares: Any, xp: Any = np, clip: bool = False) -> Any:
    """Shape (...): latency of a round in s (Eq. 12) from the four phases as columns over the cut.

    `shares` has shape (..., 3) and is above 0. For `phases` see `phase_curves` of the module
    `split_federated`, or take ``{"table": ...}`` of shape (..., 4, L).
    """
    return round_latency(values_at(phases, cut, xp, clip), shares)
