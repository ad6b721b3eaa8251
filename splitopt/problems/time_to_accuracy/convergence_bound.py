"""The bound on gradients that HASFL and AdaptSFL plan with, and the rounds that it promises.

HASFL (arXiv 2506.08426) and AdaptSFL (arXiv 2403.13101, with one batch size) bound the mean squared
norm of the gradient over R rounds of step size gamma, for a beta-smooth objective, by

    2 theta / (gamma R) + beta gamma sigma^2 / N^2 sum_n 1/b_n + 1{I > 1} 4 beta^2 gamma^2 I^2 D(l)

with theta the distance of the first objective from its infimum, sigma^2 the variance of a sample's
gradient over all layers, and D(l) the second moments of the gradients of the layers up to l. Rounds
until it falls to a target are infinite where noise and drift alone exceed that. It stands here for
what the field compares with: `docs/explanation/convergence-bound.md` shows what it is worth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from splitopt.errors import InputError
from splitopt.problems.arrays import number, number_table
from splitopt.problems.base import FloatArray, IntArray, check_keys
from splitopt.problems.ranges import check_factor

SCALARS = ("learning_rate", "smoothness", "distance", "variance", "target")
FIELDS = (*SCALARS, "second_moment")


def read_bound(value: Any, layers: int) -> dict[str, Any]:
    """Read the constants of the bound, checked.

    Raises
    ------
    InputError
        One is missing, unknown, or does not fit.
    """
    found = dict(check_keys(value, FIELDS, (), "convergence_bound"))
    for name in SCALARS:
        found[name] = number(
            found[name],
            f"convergence_bound.{name}",
            "a constant of the bound",
            positive=name in ("learning_rate", "distance", "target"),
        )
        check_factor(found[name], f"convergence_bound.{name}")
    source = "convergence_bound.second_moment"
    moments = number_table(found["second_moment"], source, "squared gradients", (layers,))
    if (np.diff(moments) < 0).any():
        raise InputError.at(source, "must not fall from cut to cut: it counts all layers up to it")
    check_factor(moments, source)
    return {**found, "second_moment": moments}


def promised_rounds(
    constants: Mapping[str, Any], inverse: Any, cut: IntArray | int, interval: Any, devices: int
) -> FloatArray:
    """Compute the rounds until the bound is at its target, infinite where it never is.

    Parameters
    ----------
    constants
        As `read_bound` returns them.
    inverse
        m, the mean of 1 / batch size, an array that broadcasts.
    cut
        The largest cut, 1..L.
    interval
        Steps between two aggregations.
    devices
        N.
    """
    rate, smoothness = constants["learning_rate"], constants["smoothness"]
    steps = np.asarray(interval, dtype=np.float64)
    moment = constants["second_moment"][np.asarray(cut) - 1]
    noise = smoothness * rate * constants["variance"] * np.asarray(inverse) / devices
    drift = np.where(steps > 1, 4.0 * (smoothness * rate * steps) ** 2 * moment, 0.0)
    left = constants["target"] - noise - drift
    with np.errstate(divide="ignore"):
        rounds = 2.0 * constants["distance"] / (rate * np.maximum(left, 0.0))
    return np.asarray(rounds)
