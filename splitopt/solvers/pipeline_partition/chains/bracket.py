"""The least period, by bisection with jumps between the values it can have.

The period of a chain is one of finitely many values: what a run of layers or a link costs. So a cap
that admits no chain raises the lower end to the next such value, and one that admits a chain lowers
the upper end to the chain's own period; when the ends meet, the optimum is proved.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from splitopt.problems.base import IntArray
from splitopt.solvers.pipeline_partition.chains.caps import Caps, TooLargeError
from splitopt.solvers.pipeline_partition.chains.state import LINKS, SERIAL_FULL, Chains

Phase = Literal["shrink", "gallop", "bisect", "done", "infeasible", "large"]

_SHRUNK = 1e-3
"""Relative width at which the cheap bisection over windows gives way to exact tests."""
_ROUNDING = 1e-12
"""Relative room for sums that are added up in another order."""
_FIRST_STEP = 2e-3
"""Relative step above the lower end with which the gallop begins."""
_CLOSE = 1e-6
"""Relative width from which on the next value is worth a scan over all runs with interfaces."""


def ends_of_range(chains: Chains, nodes: int) -> tuple[float, float]:
    """Bound the period of every chain of at most so many nodes from below and above, in s.

    From below: every layer is on some node, and the busiest of N nodes has at least an N-th of the
    work. From above: a node has all layers, and its interface the two largest cuts both ways.
    """
    least = chains.layer_s.min(axis=0)
    slowest = chains.sums[0, :, :, -1].sum(axis=0)
    if chains.interface != LINKS:
        slowest = slowest + 2 * chains.cut_bytes.max(axis=1).sum() / chains.rate
    top = max(float(slowest.max()), float(chains.levels[-1]) if len(chains.levels) else 0.0)
    low = max(float(least.max()), float(least.sum()) / nodes * (1 - _ROUNDING))
    return low, top * (1 + _ROUNDING)


class Bracket:
    """Two ends that enclose the least period, and the best chain so far.

    Parameters
    ----------
    caps
        The tests.
    nodes
        Number of nodes N.
    """

    def __init__(self, caps: Caps, nodes: int) -> None:
        self.caps = caps
        self.low, self.top = ends_of_range(caps.chains, nodes)
        """The proved lower bound, and the largest period there can be, in s."""
        self.high = math.inf
        """Period of the chain at hand."""
        self.phase: Phase = "shrink"
        self.chain: IntArray | None = None
        self._relaxed = math.inf
        """The smallest cap that the windows did not refute."""
        self._step = _FIRST_STEP

    def advance(self, tests: int) -> bool:
        """Do up to so many tests, until the first chain is found; tell if a better one was."""
        before = self.chain
        for _ in range(tests):
            if self.phase == "shrink" and self.caps.is_unlinked:
                self._relax()
            elif self.phase == "shrink":
                self._shrink()
            elif self.phase in ("gallop", "bisect"):
                self._test()
            if self.phase in ("done", "infeasible", "large"):
                break
            if before is None and self.chain is not None:
                break
        return self.chain is not before

    def only_largest(self) -> None:
        """Make the next test the one of the largest cap: any chain, or that there is none."""
        self._relaxed, self.phase = self.top, "gallop"

    def _shrink(self) -> None:
        """Bisect by windows alone: cheap, and mostly close to the optimum."""
        if self._relaxed == math.inf:
            cap = self.top
        elif self._relaxed - self.low <= _SHRUNK * self._relaxed:
            self.phase = "gallop"
            return
        else:
            cap = _middle(self.low, self._relaxed) if self.low > 0.0 else 0.0
        if self.caps.open(cap):
            self._relaxed = cap
        elif cap >= self.top:
            self.phase = "infeasible"
        else:
            self.low = min(self._above(cap), self._relaxed)

    def _relax(self) -> None:
        """Step to the least period that the windows allow, where every link is free.

        The relaxation is met by a chain, but one that may leave out nodes that have to be used. If
        it leaves out none at the end, the optimum is found, and no test needs the sets of
        boundaries.
        """
        if self._relaxed <= self.low:
            self.phase = "done" if self.high <= self.low else "gallop"
            self._step = 0.0
            return
        first = self._relaxed == math.inf
        cap = self.top if first else _middle(self.low, self._relaxed)
        if not self.caps.open(cap):
            if first:
                self.phase = "infeasible"
            else:
                self.low = min(self._above(cap), self._relaxed)
            return
        chain, period, whole = self.caps.furthest()
        self._relaxed = min(cap, period)
        if whole and period < self.high:
            self.chain, self.high = chain, period

    def _test(self) -> None:
        """Test one cap exactly and move the ends."""
        if self.phase == "gallop":
            # Steps grow from the lower end on: the optimum is mostly just above it, and a test of
            # a cap that admits many chains has wide windows, which take long.
            cap = min(self.top, max(self._relaxed, self.low * (1 + self._step)))
            cap = cap if cap < self.high else _middle(self.low, self.high)
            self._step = max(3 * self._step, _FIRST_STEP)
        else:
            cap = _middle(self.low, self.high)
        try:
            found = self.caps.any_chain() if self.caps.open(cap) else None
        except TooLargeError:
            self.phase = "large"
            return
        if found is not None:
            self.chain, period = found
            self.high, self.phase = min(cap, period), "bisect"
        elif cap >= self.top:
            self.phase = "infeasible"
            return
        else:
            self.low = self._above(cap)
            if self.phase == "gallop" and self.low > self.top:
                self.phase = "infeasible"
                return
        if self.low >= self.high:
            self.low, self.phase = self.high, "done"

    def _above(self, cap: float) -> float:
        """Return a lower end that a cap proves which was refuted just now: the next value."""
        chains = self.caps.chains
        after = math.nextafter(cap, math.inf)
        upper = min(self.high, self.top)
        if chains.interface != LINKS and cap > 0.0 and upper - cap > _CLOSE * upper:
            return after
        found = math.inf
        place = int(np.searchsorted(chains.levels, cap, side="right"))
        if place < len(chains.levels):
            found = float(chains.levels[place])
        if chains.interface < SERIAL_FULL:
            found = min(found, self.caps.above)
        if chains.interface != LINKS:
            # Only values below the upper end count; infinity stands for the others.
            limit = min(found, upper * (1 + 1e-9))
            value = self.caps.next_occupied(cap, limit)
            found = value if value < limit else found
        return max(after, found)


def _middle(low: float, high: float) -> float:
    """Return a value between two ends, strictly below the upper one."""
    if low > 0.0 and high > 2.0 * low:
        middle = math.sqrt(low) * math.sqrt(high)
    else:
        middle = low + 0.5 * (high - low)
    return middle if low <= middle < high else low
