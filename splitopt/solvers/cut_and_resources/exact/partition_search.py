"""Which device loads which resource, where every choice loads one: filled resource by resource.

At a deadline T a device that uses resource r takes the part a_nr of it, and all parts of a resource
must add up to at most 1. With prices u >= 0 the parts are worth ``sum_r u_r load_r``, which is at
most the sum of the prices; so the devices that are on the first resource must save the others at
least a certain worth. The subsets that load it with at most 1 and save enough are those of two
halves of the devices that match (meet in the middle); what is left is the same question with one
resource less. Where the prices are good, few subsets match: with equal resources all but a narrow
window of loads is ruled out (Korf, "Multi-way number partitioning", 2009).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.compiling import plain
from splitopt.solvers.cut_and_resources.exact.partition_loops import (
    matching_pairs,
    sorted_subsets,
)

MOST_FREE = 40
"""Devices whose subsets are gone through: two lists of a million each."""
_ROUNDING = 1e-12
"""What sums of parts may be wrong by."""
_AT_ONCE = 64
_LOOKS = 20_000_000
"""Pairs between two looks at the clock."""
FEW = 9
"""Devices up to which Python goes through the pairs."""


class TooLongError(Exception):
    """The search was asked to stop."""


@dataclass
class Filling:
    """One search for an assignment that loads no resource with more than its capacity.

    Parameters
    ----------
    halt
        Asked now and then whether to give up, which raises `TooLongError`.
    most_looks
        Pairs of subsets after which to give up.
    """

    halt: Callable[[], bool]
    most_looks: float = np.inf
    looks: int = field(default=0)

    def assignments(
        self, part: FloatArray, worth: FloatArray, capacity: FloatArray
    ) -> Iterator[IntArray]:
        """Yield assignments (N,) of devices to resources within the capacities, all there are.

        Of assignments that differ by resources that are equal for all devices, one is yielded.

        Parameters
        ----------
        part
            Shape (N, R): the part of a resource that a device takes, infinite where it cannot.
        worth
            Shape (R,): prices >= 0 of the resources.
        capacity
            Shape (R,).
        """
        devices, resources = part.shape
        if devices == 0:
            if (capacity >= -_ROUNDING).all():
                yield np.zeros(0, dtype=np.int64)
            return
        if resources == 1:
            if part[:, 0].sum() <= capacity[0] + _ROUNDING:
                yield np.zeros(devices, dtype=np.int64)
            return
        equal = bool((part == part[:, :1]).all() and (capacity == capacity[0]).all())
        for inside in self._subsets(part, worth, capacity, first=equal):
            rest = np.flatnonzero(~inside)
            for found in self.assignments(part[rest, 1:], worth[1:], capacity[1:]):
                whole = np.zeros(devices, dtype=np.int64)
                whole[rest] = found + 1
                yield whole

    def _subsets(
        self, part: FloatArray, worth: FloatArray, capacity: FloatArray, first: bool
    ) -> Iterator[np.ndarray[tuple[int], np.dtype[np.bool_]]]:
        """Yield the sets of devices (N,), bool, that may be on the first resource.

        `first` says that device 0 is one of them.
        """
        open_to = np.isfinite(part[:, 1:])
        priced = worth[1:] * np.where(open_to, part[:, 1:], 0.0)
        other = np.where(open_to, priced, np.inf).min(axis=1)
        bound = np.isinf(other)  # no other resource takes these
        never = np.isinf(part[:, 0])
        if (bound & never).any():
            return
        if first:
            bound[0] = True
        devices = len(part)
        free = np.flatnonzero(~bound & ~never)
        fixed = np.flatnonzero(bound)
        saved = np.where(np.isinf(other), 0.0, other)
        room = capacity[0] + _ROUNDING - part[fixed, 0].sum()
        needed = saved.sum() - saved[fixed].sum() - float(worth[1:] @ capacity[1:]) - _ROUNDING
        order = free[np.argsort(-part[free, 0], kind="stable")]
        halves = [_Half.of(part[half, 0], saved[half], half) for half in (order[::2], order[1::2])]
        for pair in self._pairs(halves[0], halves[1], room, needed):
            inside = np.zeros(devices, dtype=np.bool_)
            inside[fixed] = True
            for half, place in zip(halves, pair, strict=True):
                inside[half.members(int(place))] = True
            yield inside

    def _pairs(self, left: _Half, right: _Half, room: float, needed: float) -> Iterator[IntArray]:
        at, found = np.array([0, -2], dtype=np.int64), np.empty((_AT_ONCE, 2), dtype=np.int64)
        small = len(left.devices) + len(right.devices) <= FEW
        run = plain(matching_pairs) if small else matching_pairs
        while at[0] < len(left.load):
            if self.halt() or self.looks > self.most_looks:
                raise TooLongError
            self.looks += len(left.load) if at[0] == 0 else 1
            before = at.copy()
            count = run(
                left.load,
                left.saved,
                right.load,
                right.saved,
                right.most,
                room,
                needed,
                at,
                _LOOKS,
                found,
            )
            self.looks += _LOOKS if count < len(found) and at[0] < len(left.load) else 0
            assert (at != before).any()
            yield from found[:count].copy()


@dataclass(frozen=True, eq=False)
class _Half:
    """All subsets of some devices, by rising load."""

    devices: IntArray
    bits: IntArray
    load: FloatArray
    saved: FloatArray
    most: FloatArray

    @classmethod
    def of(cls, load: FloatArray, saved: FloatArray, devices: IntArray) -> _Half:
        run = plain(sorted_subsets) if len(load) <= (FEW + 1) // 2 else sorted_subsets
        loads, savings, bits = run(load, saved)
        return cls(devices, bits, loads, savings, np.maximum.accumulate(savings))

    def members(self, place: int) -> IntArray:
        """Return the devices of the subset at a place."""
        bits = int(self.bits[place])
        return self.devices[[bool(bits >> n & 1) for n in range(len(self.devices))]]


def load_loops() -> None:
    """Compile the loops, or load what an earlier process compiled."""
    devices = np.arange(6, dtype=np.int64)
    half = _Half.of(np.ones(6), np.ones(6), devices)
    found = np.empty((2, 2), dtype=np.int64)
    at = np.array([0, -2], dtype=np.int64)
    lists = (half.load, half.saved, half.load, half.saved, half.most)
    matching_pairs(*lists, 1.0, 2.0, at, 10, found)
