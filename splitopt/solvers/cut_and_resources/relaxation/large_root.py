"""The relaxed problem of a large fleet: from a sample to the whole in a few passes.

The three prices of a sample are nearly those of the whole fleet. A quasi-Newton method on the
optimality conditions, three equations in three unknowns, ends after some five passes, as errors of
the prices enter the gap only squared. Where devices tie, the conditions jump and the method stalls;
simplicial decomposition then goes on from what is known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from splitopt.problems.base import FloatArray
from splitopt.solvers.cut_and_resources.relaxation.large_fleet import LargeFleet

Watch = Callable[[float, int], bool]
"""Told the best bound so far and the passes since the last call; returns True to stop."""

SAMPLE = 20_000
"""Classes in a sample."""
STRAGGLERS = 500
"""Classes, those that are slowest even alone, which are in every sample and count once."""


class Slowest(NamedTuple):
    """Facts on each class alone: its least latency (C,), and the fleet's earliest deadline."""

    alone: FloatArray
    earliest: float


def slowest(large: LargeFleet) -> Slowest:
    """Pass over the devices once to see how slow each is with everything for itself."""
    alone = np.empty(large.classes)
    earliest = 0.0
    for rows, block in large.blocks():
        alone[rows] = (block[0] ** 2 + block[1] ** 2 + block[2] ** 2 + block[3]).min(axis=0)
        earliest = max(earliest, float(block[3].min(axis=0).max()))
    return Slowest(alone, earliest)


def sample(large: LargeFleet, alone: FloatArray) -> LargeFleet:
    """Draw some classes that stand for all, and take those that are slowest as they are."""
    size = large.classes
    if size <= 2 * SAMPLE:
        return large
    slow = np.argpartition(alone, size - STRAGGLERS)[size - STRAGGLERS :]
    drawn = np.unique(np.random.default_rng(0).integers(0, size, SAMPLE))
    drawn = np.setdiff1d(drawn, slow)
    each = round((size - STRAGGLERS) / len(drawn))
    count = np.concatenate((large.count[slow], large.count[drawn] * each))
    return large.part(np.concatenate((slow, drawn)), count)


class QuasiNewton:
    """Broyden's method: steps towards a zero of a function whose Jacobian is roughly known."""

    def __init__(self, jacobian: FloatArray) -> None:
        self._jacobian = jacobian
        self._last: tuple[FloatArray, FloatArray] | None = None
        self._sizes: list[float] = []

    @classmethod
    def by_differences(
        cls, function: Callable[[FloatArray], FloatArray], at: FloatArray, step: FloatArray
    ) -> QuasiNewton:
        """Compute the Jacobian (3, 3) by central differences."""
        columns = []
        for i in range(len(at)):
            shift = np.zeros(len(at))
            shift[i] = step[i]
            ahead, back = function(at + shift), function(at - shift)
            with np.errstate(invalid="ignore"):  # what is infinite gives no step later
                columns.append((ahead - back) / (2 * step[i]))
        return cls(np.array(columns).T)

    def step(self, at: FloatArray, value: FloatArray) -> FloatArray | None:
        """Return the next step, None if the value stopped falling or there is no way to go on."""
        size = float(np.abs(value).max())
        self._sizes.append(size)
        if not np.isfinite(size) or (len(self._sizes) > 3 and size > 0.3 * self._sizes[-4]):
            return None
        if self._last is not None:
            moved, before = at - self._last[0], self._last[1]
            length = float(moved @ moved)
            if length == 0:
                return None
            error = value - before - self._jacobian @ moved
            self._jacobian = self._jacobian + np.outer(error, moved) / length
        self._last = (at.copy(), value.copy())
        try:
            found = -np.linalg.solve(self._jacobian, value)
        except np.linalg.LinAlgError:
            return None
        return np.asarray(found) if np.isfinite(found).all() else None
