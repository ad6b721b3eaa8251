"""Which partitions keep below given caps: a test without a search, and the quickest of them.

With caps set, a kind's longest run from each layer is known. The furthest position of every state
answers whether the caps can be met if nodes may stay idle. Where every node must be used, positions
that can be reached are no interval: from the furthest ones back and from the end forth only bounds
follow, and the sums of `quickest`, kept for every position in between, decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from splitopt.solvers.pipeline_partition.plain.layout import Layout
from splitopt.solvers.pipeline_partition.plain.loops import NONE, loops_for
from splitopt.solvers.pipeline_partition.plain.scaled import Scaled, Whole

LARGEST_TABLE = 2**27
"""Positions of all states that `quickest` keeps at most (16 bytes each)."""


class TooLargeError(Exception):
    """The table of positions would not fit into memory."""


class Run(NamedTuple):
    """A chain by kinds of nodes; a run without a layer is an idle node."""

    kinds: list[int]
    boundaries: list[int]

    @property
    def has_idle(self) -> bool:
        """Whether a node has no layer."""
        return any(a == b for a, b in zip(self.boundaries, self.boundaries[1:], strict=False))

    def largest(self, total: Whole) -> int:
        """Give the largest sum of a run, for sums of the first layers (K, S + 1)."""
        return int(self._sums(total).max())

    def total(self, total: Whole) -> int:
        """Give the sum of all runs, for sums of the first layers (K, S + 1)."""
        return int(self._sums(total).sum())

    def _sums(self, total: Whole) -> Whole:
        ends = self.boundaries
        return np.asarray(total[self.kinds, ends[1:]] - total[self.kinds, ends[:-1]])


@dataclass(frozen=True)
class Answer:
    """What a test of caps says.

    Parameters
    ----------
    run
        A chain below the caps, None if there is none. Where every node must be used it may still
        have idle nodes: then the question is open.
    next_cap
        Without a chain: the least cap that could change that.
    """

    run: Run | None
    next_cap: int = NONE


class Reach:
    """Tests of caps on one problem; it keeps its working arrays from test to test."""

    def __init__(self, layout: Layout, scaled: Scaled) -> None:
        self.layout, self.scaled = layout, scaled
        self.loops = loops_for(layout.work)
        self.tests = 0
        shape, states = scaled.limit.shape, len(layout.states.fewest)
        self._end = np.empty(shape, dtype=np.int32)
        self._start = np.empty(shape, dtype=np.int32)
        self._above = np.empty(shape, dtype=np.int64)
        self._nothing = np.empty((0, 0), dtype=np.int64)
        self._reach = np.zeros(states, dtype=np.int32)
        self._need = np.zeros(states, dtype=np.int32)
        self._via = np.zeros(states, dtype=np.int32)

    def neighbours(self, total: Whole, cap: int) -> tuple[int, int]:
        """Give the largest sum of a run up to `cap`, and the least above it (`NONE`: none)."""
        lower, upper = self.loops.ends(total, self.scaled.limit, cap, self._end, self._above)
        return int(lower), int(upper)

    def below(self, total: Whole, cap: int) -> Answer:
        """Test whether all nodes' sums of `total` (K, S + 1) can keep to a cap."""
        self.loops.ends(total, self.scaled.limit, cap, self._end, self._above)
        return self._answer(self._above)

    def below_two(self, cap: int, second_cap: int) -> Answer:
        """Test whether forward sums can keep to one cap and backward sums to another."""
        s = self.scaled
        self.loops.ends_of_two(s.forward, s.backward, s.limit, cap, second_cap, self._end)
        return self._answer(self._nothing)

    def _answer(self, above: Whole) -> Answer:
        states = self.layout.states
        steps = states.first, states.before, states.kind
        next_cap = self.loops.furthest(
            *steps, states.most, self._end, above, self._reach, self._via
        )
        self.tests += 1
        if self._reach[-1] < self.layout.layers:
            return Answer(None, int(next_cap))
        return Answer(self._furthest_run())

    def _furthest_run(self) -> Run:
        states, reach, state = self.layout.states, self._reach, len(self._reach) - 1
        kinds, ends = [], []
        while state > 0:
            step = int(self._via[state])
            kinds.append(int(states.kind[step]))
            ends.append(int(reach[state]))
            state = int(states.before[step])
        return Run(kinds[::-1], [0, *ends[::-1]])

    def quickest(self) -> tuple[int, Run] | None:
        """Give the least trip, and its chain, under the caps of the last test; None if none.

        This answer is exact also where every node must be used.

        Raises
        ------
        TooLargeError
            The positions of all states are more than `LARGEST_TABLE`.
        """
        layers, states = self.layout.layers, self.layout.states
        if self._reach[-1] < layers:
            return None
        steps = states.first, states.before, states.kind
        self.loops.starts(self._end, self._start)
        self.loops.needed(*steps, states.fewest, self._start, self._need)
        sizes = np.maximum(self._reach.astype(np.int64) - self._need + 1, 0)
        offset = np.concatenate(([0], np.cumsum(sizes)))
        if offset[-1] > LARGEST_TABLE:
            raise TooLargeError
        if sizes[0] == 0 or sizes[-1] == 0:
            return None
        value = np.empty(offset[-1], dtype=np.int64)
        step_to = np.empty(offset[-1], dtype=np.int32)
        start_of = np.empty(offset[-1], dtype=np.int32)
        self.loops.quickest(
            *steps,
            self._start,
            self.scaled.both,
            int(self.layout.may_idle),
            self._need,
            self._reach,
            offset,
            value,
            step_to,
            start_of,
        )
        last = len(sizes) - 1
        trip = int(value[offset[last] + layers - self._need[last]])
        if trip >= NONE:
            return None
        return trip, self._quickest_run(offset, step_to, start_of)

    def _quickest_run(self, offset: Whole, step_to: Whole, start_of: Whole) -> Run:
        states = self.layout.states
        state, position = len(self._reach) - 1, self.layout.layers
        kinds, ends = [], []
        while state > 0:
            place = offset[state] + position - self._need[state]
            step = int(step_to[place])
            kinds.append(int(states.kind[step]))
            ends.append(position)
            position = int(start_of[place])
            state = int(states.before[step])
        return Run(kinds[::-1], [0, *ends[::-1]])
