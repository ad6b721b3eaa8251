"""Types of devices, and the compositions of clusters that they allow.

Devices with the same six terms are exchangeable: only how many of each type a cluster has matters
for its seconds. A composition is such a list of counts, and there are few of them where there are
few types, however many devices there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum

_SPREADS = (0.002, 0.004, 0.008, 0.016, 0.03, 0.06, 0.12)
"""Shares of a device's own seconds within which devices are taken for one type; smallest first."""
_MOST_GROUPS = 64


@dataclass(frozen=True, eq=False)
class Types:
    """Devices in types.

    Parameters
    ----------
    of
        Shape (N,): the type of each device.
    terms
        Shape (T, 6): terms of a device of each type, none of them above those of its members.
    spread
        Members of a type differ by about this share of their seconds; 0 where they are equal.
    """

    of: IntArray
    terms: FloatArray
    spread: float = 0.0

    def __post_init__(self) -> None:
        self.terms.setflags(write=False)  # as those of a problem: loops are compiled for that

    @cached_property
    def counts(self) -> IntArray:
        """Shape (T,): how many devices each type has."""
        return np.bincount(self.of, minlength=len(self.terms)).astype(np.int64)

    def compositions(self, sizes: IntArray) -> int:
        """Count the compositions of clusters of these sizes, each size once."""
        return sum(count_compositions(self.counts, int(size)) for size in np.unique(sizes))


def exact_types(problem: ClusterAndSpectrum, most: int) -> Types | None:
    """Return the types of equal devices if there are at most `most` compositions, else None.

    None as well where more than half of all devices would be types: their clusters are better
    listed than put together.
    """
    terms, of = np.unique(problem.terms, axis=0, return_inverse=True)
    if 2 * len(terms) > max(problem.devices, 2):
        return None
    return _if_few(Types(of.reshape(-1).astype(np.int64), terms), problem, most)


def near_types(problem: ClusterAndSpectrum, most: int) -> Types | None:
    """Group devices that are nearly alike, as closely as `most` compositions allow; None if not.

    A group stands for the lower corner of its members, the least of each of the six terms: a
    cluster's seconds rise with each term, so that the fleet of corners is no slower than the true
    one, whatever the groups are.
    """
    share = problem.subcarriers / max(float(problem.cluster_sizes.mean()), 1.0)
    inner = float(problem.inner_phases)
    seconds = problem.terms * np.array([1, 1 / share, inner, inner / share, 1, 1 / share])
    total = seconds.sum(axis=1)
    for spread in _SPREADS:
        of = _led(seconds, total, spread)
        if of is None or 2 * (groups := int(of.max()) + 1) > problem.devices:
            continue
        corner = np.full((groups, 6), np.inf)
        np.minimum.at(corner, of, problem.terms)
        if (found := _if_few(Types(of, corner, spread), problem, most)) is not None:
            return found
    return None


def _led(seconds: FloatArray, total: FloatArray, spread: float) -> IntArray | None:
    """Assign each device to the first leader it is near; the slowest one without a leader leads."""
    of, groups = np.full(len(total), -1, dtype=np.int64), 0
    waiting = np.argsort(-total, kind="stable")
    while len(waiting):
        if groups == _MOST_GROUPS:
            return None
        leader = waiting[0]
        apart = np.abs(seconds[waiting] - seconds[leader]).sum(axis=1)
        near = apart <= spread * total[leader]
        of[waiting[near]] = groups
        waiting = waiting[~near]
        groups += 1
    return of


def _if_few(types: Types, problem: ClusterAndSpectrum, most: int) -> Types | None:
    """Return the types unless there are more than `most` compositions."""
    return types if types.compositions(problem.cluster_sizes) <= most else None


def count_compositions(counts: IntArray, size: int) -> int:
    """Count the ways to take `size` devices of types that have `counts` devices each."""
    ways = [1] + [0] * size  # ways[k]: to take k of the types so far
    for count in counts.tolist():
        most = min(count, size)
        ways = [sum(ways[max(0, k - most) : k + 1]) for k in range(size + 1)]
    return ways[size]


def all_compositions(counts: IntArray, size: int) -> IntArray:
    """List those ways: shape (F, T), how many of each type, in lexicographic order."""
    later = np.append(np.cumsum(counts[::-1])[::-1][1:], 0)  # devices of the types after each
    table, left = np.zeros((1, 0), dtype=np.int64), np.array([size], dtype=np.int64)
    for count, after in zip(counts.tolist(), later.tolist(), strict=True):
        least = np.maximum(left - after, 0)
        options = np.maximum(np.minimum(left, count) - least + 1, 0)
        row = np.repeat(np.arange(len(table)), options)
        first = np.cumsum(options) - options
        taken = least[row] + np.arange(len(row)) - first[row]
        table, left = np.column_stack((table[row], taken)), left[row] - taken
    return table
