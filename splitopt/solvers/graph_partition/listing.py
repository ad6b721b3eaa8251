"""The ideals of a graph of groups, listed until there are too many or time is up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from splitopt.problems.base import FloatArray, IntArray
from splitopt.solvers.graph_partition.groups import Groups
from splitopt.solvers.graph_partition.ideal_loops import (
    BITS,
    DONE,
    NO_ROOM,
    fill_table,
    list_ideals,
)

_FIRST_ROOM = 4096
_AT_ONCE = 20_000
"""Ideals between two looks at the clock."""
ShortArray = npt.NDArray[np.int32]
_MOST_BYTES = 2**32
"""Of all ideals, and of the states that are reached."""
FREE, WORK, HOST, MEMORY, CUT = range(5)
"""The columns of `Ideals.sums`."""


@dataclass(frozen=True, eq=False)
class Ideals:
    """All ideals, the empty one first, by rising size, and the whole last.

    Parameters
    ----------
    words
        Shape (I, W): the groups of each as bits.
    sums
        Shape (I, 5), see the columns above: FREE is the work that counts while a CPU is free.
    arc_starts, arc_group, arc_ideal
        The arcs that add a group to an ideal.
    """

    words: IntArray
    sums: FloatArray
    arc_starts: ShortArray
    arc_group: ShortArray
    arc_ideal: ShortArray

    @property
    def count(self) -> int:
        """Number of ideals I."""
        return len(self.words)


def room_for(groups: Groups, cpus: int) -> int:
    """Return how many ideals fit the memory: as bits, with sums, arcs and states."""
    words = -(-groups.count // BITS)
    return _MOST_BYTES // (16 * words + 200 + 64 * (1 + min(cpus, groups.count)))


def list_all(
    groups: Groups, free_work: FloatArray, most: int, stop: Callable[[], bool]
) -> Ideals | None:
    """List all ideals; None if there are more than `most` or `stop` says so.

    Parameters
    ----------
    groups
        The graph.
    free_work
        Shape (G,): the work of each group that counts while a CPU is free.
    most
        How many ideals there may be.
    stop
        Whether to stop.
    """
    room = _Room(groups, free_work)
    while True:
        found = room.work()
        if found == DONE:
            return room.ideals() if room.state[1] <= most else None
        if room.state[1] > most or stop():
            return None
        if found == NO_ROOM:
            room.grow()


class _Room:
    """Arrays that grow while ideals are listed."""

    def __init__(self, groups: Groups, free_work: FloatArray) -> None:
        self.groups = groups
        width = -(-groups.count // BITS)
        size = _FIRST_ROOM + groups.count
        self.state = np.array([0, 1, 0], dtype=np.int64)
        self.words = np.zeros((size, width), dtype=np.int64)
        self.free = np.zeros((size, width), dtype=np.int64)
        self.keys = np.zeros(size, dtype=np.int64)
        self.sums = np.zeros((size, 5))
        self.starts = np.zeros(size + 1, dtype=np.int32)  # short, as walks read them at random
        self.arc_group = np.zeros(4 * size, dtype=np.int32)
        self.arc_ideal = np.zeros(4 * size, dtype=np.int32)
        self.values = np.stack(
            (free_work, groups.work_s, groups.host_s, groups.memory_bytes), axis=1
        )
        self.random = np.random.default_rng(0).integers(0, 2**62, groups.count, dtype=np.int64)
        for g in np.flatnonzero(np.diff(groups.before.starts) == 0).tolist():
            self.free[0, g // BITS] |= 1 << (g % BITS)
        self._hash()

    def _hash(self) -> None:
        size = 1 << (2 * len(self.words) - 1).bit_length()
        self.table = np.full(size, -1, dtype=np.int64)
        fill_table(self.table, self.keys, int(self.state[1]))

    def grow(self) -> None:
        """Make room for twice as many."""
        if self.state[1] + self.groups.count > len(self.words):
            for name in ("words", "free", "keys", "sums", "starts"):
                setattr(self, name, _doubled(getattr(self, name)))
            self._hash()
        if self.state[2] + self.groups.count > len(self.arc_group):
            self.arc_group, self.arc_ideal = _doubled(self.arc_group), _doubled(self.arc_ideal)

    def work(self) -> int:
        """List some more."""
        groups = self.groups
        arrays: list[Any] = [
            *(self.state, self.words, self.free, self.keys, self.sums, self.table),
            *(self.starts, self.arc_group, self.arc_ideal, self.random, self.values),
            *(groups.after.starts, groups.after.items),
            *(groups.before.starts, groups.before.items),
            *(groups.edges_of.starts, groups.edges_of.items),
            *(groups.members.starts, groups.members.items, groups.cost_s, _AT_ONCE),
        ]
        return list_ideals(*arrays)

    def ideals(self) -> Ideals:
        """Return what was listed."""
        count, arcs = int(self.state[1]), int(self.state[2])
        return Ideals(
            self.words[:count],
            self.sums[:count],
            self.starts[: count + 1],
            self.arc_group[:arcs],
            self.arc_ideal[:arcs],
        )


def _doubled(array: Any) -> Any:
    found = np.zeros((2 * len(array), *array.shape[1:]), dtype=array.dtype)
    found[: len(array)] = array
    return found
