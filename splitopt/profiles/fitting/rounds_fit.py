"""R = R0 (1 + c1 m) I^(c2 s(l)) fitted to trained runs, some of which did not reach the target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from splitopt.errors import InputError
from splitopt.profiles.table.arrays import Array

_STARTS = (0.1, 1.0, 5.0, 20.0)
"""Values of c1 from which the fit begins; the best of their ends counts."""


class RoundsRun(NamedTuple):
    """A trained run: m, I, s(l), and its rounds to the target.

    ``rounds`` are those that were trained where ``reached`` is false: it would take more.
    """

    inverse: float
    interval: int
    depth: float
    rounds: float
    reached: bool = True


class RoundsFit(NamedTuple):
    """R0, c1 and c2, and the relative error of each run (0 where one is beyond what it trained)."""

    rounds: float
    batch_factor: float
    interval_exponent: float
    errors: Array


def predicted(fit: RoundsFit | tuple[float, float, float], runs: Sequence[RoundsRun]) -> Array:
    """Return the rounds of a curve at some runs, shape (K,)."""
    first, batch, interval = fit[:3]
    m, steps, depth = (
        np.array(column, dtype=np.float64) for column in list(zip(*runs, strict=True))[:3]
    )
    found: Array = first * (1.0 + batch * m) * steps ** (interval * depth)
    return found


def fit_rounds(runs: Sequence[RoundsRun]) -> RoundsFit:
    """Fit the curve by least squares of the logarithms; c1 and c2 are not negative.

    A run that did not reach the target counts only where the curve promises fewer rounds than it
    trained.

    Raises
    ------
    InputError
        Fewer than three runs reached the target, all have one batch size, or all have one interval.
    """
    from scipy.optimize import least_squares

    reached = [run for run in runs if run.reached]
    if len(reached) < 3:
        raise InputError(
            f"{len(reached)} of {len(runs)} runs reached the target, and a curve of three numbers "
            "needs three; take a looser target, or train for more rounds"
        )
    for name, values in (
        ("batch size", {run.inverse for run in reached}),
        ("aggregation interval", {run.interval for run in reached}),
    ):
        if len(values) < 2:
            raise InputError(
                f"all runs that reached the target have one {name}, by which its effect cannot be "
                "measured; take a looser target, or train for more rounds"
            )
    measured = np.log([run.rounds for run in runs])
    ended = np.array([run.reached for run in runs])

    def residuals(x: Array) -> Array:
        with np.errstate(over="ignore"):
            gap = np.log(predicted((1.0, x[1], x[2]), runs)) + x[0] - measured
        return np.asarray(np.where(ended, gap, np.minimum(gap, 0.0)))

    best = None
    for start in _STARTS:
        found = least_squares(
            residuals,
            np.array([float(measured.mean()), start, 0.1]),
            bounds=([-np.inf, 0.0, 0.0], [np.inf, 1e6, 20.0]),
        )
        if best is None or found.cost < best.cost:
            best = found
    first, batch, interval = best.x  # type: ignore[union-attr]
    errors = np.abs(np.expm1(residuals(best.x)))  # type: ignore[union-attr]
    return RoundsFit(float(np.exp(first)), float(batch), float(interval), errors)
