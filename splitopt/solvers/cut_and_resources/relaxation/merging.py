"""Classes of devices that are exactly equal, merged and counted: one way for tables and factors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.solvers.cut_and_resources.relaxation.sources import Source

Keys = Callable[[IntArray | slice], Iterator[FloatArray]]
"""Some rows -> one array after the other that tell them apart, an entry or several for each row."""

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_AT_ONCE = 65_536
"""Numbers of a table that are mixed at a time."""
_LOOK = 20_000
"""Classes that are looked at to see whether there are duplicates."""


def distinct(keys: Keys) -> tuple[IntArray, IntArray]:
    """Find rows that are equal in all their keys.

    Returns
    -------
    The first row of each kind, in the order in which the kinds come, and the kind of each row.
    """
    hashes = _hash(keys(slice(None)))
    _, first, place = np.unique(hashes, return_index=True, return_inverse=True)
    every = np.arange(len(hashes))
    if len(first) == len(hashes):
        return every, every
    for key in keys(slice(None)):
        if not np.array_equal(key, key[first][place]):
            return every, every  # two different rows with one hash: nothing is merged
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[place]


def merged_rows(rows: FloatArray, count: IntArray) -> tuple[FloatArray, IntArray, IntArray]:
    """Merge classes whose rows (C, L, K) are equal.

    Parameters
    ----------
    rows
        The numbers of each class.
    count
        Shape (C,): how many devices it has; devices are numbered class by class.

    Returns
    -------
    The rows of the merged classes (D, L, K), the devices of each (D,), and the merged class of
    each device (N,).
    """
    table = rows.reshape(len(rows), -1)
    first, place = distinct(lambda classes: table_blocks(table[classes]))
    return rows[first], _counted(place, count, len(first)), np.repeat(place, count)


def merged_source(
    source: Source, count: IntArray, member: IntArray | None, look: bool
) -> tuple[Source, IntArray, IntArray | None]:
    """Merge classes that are equal; a source needs no table of all classes for it.

    Parameters
    ----------
    source, count, member
        As `source_of` returns them, and as they are returned.
    look
        Whether to look at some classes first, and to merge none if few of these are equal.
    """
    size = source.classes
    if look:
        seen = np.unique(np.linspace(0, size - 1, min(size, _LOOK)).astype(np.int64))
        if size > _LOOK:
            seen = np.unique(np.random.default_rng(0).integers(0, size, len(seen)))
        if len(np.unique(_hash(source.keys(seen)))) > 0.9 * len(seen):
            return source, count, member
    first, place = distinct(source.keys)
    if len(first) == size:
        return source, count, member
    devices = _counted(place, count, len(first))
    return source.part(first), devices, place if member is None else place[member]


def table_blocks(table: FloatArray) -> Iterator[FloatArray]:
    """Yield some columns of a table (C, K) after the other: all of them at once if it is small."""
    width = max(1, _AT_ONCE // max(1, len(table)))
    for start in range(0, table.shape[1], width):
        yield table[:, start : start + width]


def _counted(place: IntArray, count: IntArray, size: int) -> IntArray:
    return np.bincount(place, weights=count, minlength=size).astype(np.int64)


def _hash(keys: Iterator[FloatArray]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Mix the bits of each row's numbers into one."""
    mixed: Any = np.uint64(0)
    for key in keys:
        # a negative zero becomes zero, so that equal numbers are equal bits
        bits = (key + 0.0).view(np.uint64)
        if bits.ndim == 2:
            # an odd factor of its own for each column tells apart what stands in another one
            bits = (bits ^ (bits >> np.uint64(31))) * _odd(bits.shape[1])
            bits = (bits ^ (bits >> np.uint64(29))).sum(axis=1, dtype=np.uint64)
        mixed = (mixed ^ bits) * _FACTOR
        mixed ^= mixed >> np.uint64(29)
    return np.asarray(mixed)


@cache
def _odd(size: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Return odd numbers (size,), as good as random."""
    return np.arange(1, size + 1, dtype=np.uint64) * _FACTOR | np.uint64(1)
