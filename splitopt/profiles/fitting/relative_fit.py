"""Numbers >= 0 that predict seconds as sums, with the least relative errors."""

from __future__ import annotations

import numpy as np

from splitopt.errors import InputError
from splitopt.profiles.table.arrays import Array

_FLOOR = 0.02  # relative errors below count alike, so that no row draws the fit to itself
_ROUNDS = 30


def relative_nnls(design: Array, seconds: Array, weight: Array) -> Array:
    """Compute x >= 0 so that ``design @ x`` is near `seconds` in relative error.

    The sum of weighted absolute relative errors is made small by reweighted non-negative least
    squares (Lawson and Hanson, 1974), so that single outliers do not count by their square.

    Parameters
    ----------
    design
        Shape (rows, k), >= 0; every column has an entry above 0.
    seconds, weight
        Shape (rows,), above 0.

    Raises
    ------
    InputError
        A time is so short that no float holds the speed.

    Returns
    -------
    Array of shape (k,), in seconds per unit of each column.
    """
    from scipy.optimize import nnls

    with np.errstate(over="ignore"):
        relative = design / seconds[:, None]
    if not np.isfinite(relative).all():
        row = int(np.flatnonzero(~np.isfinite(relative).all(axis=1))[0])
        raise InputError(
            f"a measured time of {seconds[row]:.3g} s is too short for its work; give s"
        )
    scale = relative.max(axis=0)
    current = weight.copy()
    solution = np.zeros(design.shape[1])
    for _ in range(_ROUNDS):
        root = np.sqrt(current)
        solution, _ = nnls(relative / scale * root[:, None], root)
        error = np.abs(relative / scale @ solution - 1.0)
        current = weight / np.maximum(error, _FLOOR)
    found: Array = solution / scale
    return found
