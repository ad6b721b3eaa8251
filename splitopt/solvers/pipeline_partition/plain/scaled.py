"""Times as 64-bit integers: sums of them are exact, whatever their order, and so are comparisons.

A time becomes ``floor(time * 2^q)`` with the largest q that keeps every sum below 2^60. Whole
numbers and most others lose nothing; what is lost makes a partition look better by at most one unit
per layer and direction, so that every bound that is proved on integers holds for the times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from splitopt.problems.base import FloatArray
from splitopt.solvers.pipeline_partition.plain.layout import Index, Layout, limits

Whole = npt.NDArray[np.int64]
_BITS = 60
NO_CAP = 2**62
"""A cap that no sum reaches."""
FINE = 2**43
"""An optimum of at least this many units per layer has all the digits that are asked for."""


@dataclass(frozen=True, eq=False)
class Scaled:
    """The times of a layout without what is slower than a known value.

    Parameters
    ----------
    shift
        q: one unit is 2^-q s.
    forward, backward, both
        Shape (K, S + 1): units of the first layers, for each kind.
    limit
        Shape (K, S + 1): where the longest run from each layer ends that fits the memory and holds
        no layer that alone is slower than the known value.
    """

    shift: int
    forward: Whole
    backward: Whole
    both: Whole
    limit: Index

    @classmethod
    def of(cls, layout: Layout, reached_s: float, separate: bool) -> Scaled:
        """Scale the times of a layout.

        Parameters
        ----------
        reached_s
            A value that some partition reaches: a layer that is slower than that on some node does
            not go there. Infinite for none.
        separate
            Whether forward and backward times are compared with the value one by one.
        """
        forward, backward = layout.forward_s, layout.backward_s
        slowest = np.maximum(forward, backward) if separate else forward + backward
        allowed = slowest <= reached_s
        forward, backward = np.where(allowed, forward, 0.0), np.where(allowed, backward, 0.0)
        shift = _shift(forward, backward)
        first, second = _units(forward, shift), _units(backward, shift)
        return cls(shift, first, second, first + second, limits(layout, allowed))

    def seconds(self, units: int) -> float:
        """Give the seconds of a number of units, rounded down."""
        found = math.ldexp(float(units), -self.shift)
        exact = int(float(units)) <= units
        return found if exact else math.nextafter(found, 0.0)

    def quickest_layers(self, total: Whole) -> Whole:
        """Shape (S,): the least units of each layer on any kind, for sums (K, S + 1)."""
        allowed = self.limit[:, :-1] > np.arange(total.shape[1] - 1)
        return np.asarray(np.where(allowed, np.diff(total, axis=1), NO_CAP).min(axis=0))


def _shift(forward: FloatArray, backward: FloatArray) -> int:
    """Give the largest q for which neither a kind's whole row nor any trip exceeds the range."""
    both = forward + backward
    total = max(float(both.sum(axis=1).max()), float(both.max(axis=0).sum()))
    return 0 if total == 0 else _BITS - math.frexp(total)[1]


def _units(times: FloatArray, shift: int) -> Whole:
    found = np.zeros((len(times), times.shape[1] + 1), dtype=np.int64)
    np.cumsum(np.floor(np.ldexp(times, shift)).astype(np.int64), axis=1, out=found[:, 1:])
    return found
