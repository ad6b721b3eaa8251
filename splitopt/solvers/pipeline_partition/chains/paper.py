"""The least sum of the largest forward and the largest backward time (MP-SL Eq. 3).

Along the Pareto frontier of the two maxima the sum has many local minima. The range of the first
maximum is halved again and again: in a part [low, high] nothing is better than the value v that is
known if no chain keeps forward sums to `high` and backward sums to v - low.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from splitopt.problems.base import IntArray
from splitopt.problems.pipeline_partition import PipelinePartitionDecision
from splitopt.solvers.pipeline_partition.chains.search import SAME, ChainSearch, Ending, Found

_STEPS = 16
"""Halvings with which a good chain is looked for first."""
FORWARD, BACKWARD = 1, 2
"""Tables of `Chains.sums`."""
TABLES: tuple[Literal["forward_s", "backward_s"], ...] = ("forward_s", "backward_s")


class StoppedError(Exception):
    """The run has to end."""


@dataclass
class PaperSearch:
    """One search; times are those of the tables, in s.

    Parameters
    ----------
    chains
        The problem, with its objective "paper".
    offer
        Told a better decision; its value is returned.
    prove
        Told a better lower bound.
    stopped
        Asked now and then whether to give up.
    """

    chains: ChainSearch
    offer: Callable[[PipelinePartitionDecision], float]
    prove: Callable[[float], object]
    stopped: Callable[[], bool]
    value: float = math.inf
    ties: list[float] = field(default_factory=list)

    def run(self) -> Ending:
        """Find and prove the least sum of both maxima; `TooLargeError` as in `least_trip`."""
        least: list[float] = []
        for table in TABLES:
            ending = self._least(table, least)
            if ending == "proved" and self.value == math.inf and table == TABLES[-1]:
                ending = self._any()
            if ending != "proved":
                return ending
        first, second = least
        self.chains.leave_out(self.value)
        try:
            self._approach(first, second)
            self._halve(first, second)
        except StoppedError:
            return "stopped"
        self.prove(self.value)
        return "proved"

    def quickest(self) -> Found | None:
        """Find the chain of the least latency among those of the best value."""
        goal = self._goal()
        found = None
        for cap in self.ties:
            self._pause()
            one = self.chains.least_trip(math.inf, (cap, goal - cap))
            if one is not None and (found is None or one.latency_s < found.latency_s):
                found = one
        return found

    def _goal(self) -> float:
        return self.value * (1 + SAME)

    def _keep(self, decision: PipelinePartitionDecision) -> None:
        self.value = min(self.value, self.offer(decision))

    def _least(self, table: Literal["forward_s", "backward_s"], least: list[float]) -> Ending:
        """Append the least maximum of one direction; both together are a bound of the value."""
        known = sum(least)
        least.append(0.0)

        def prove(low: float) -> None:
            least[-1] = low
            self.prove((known + low) * (1 - SAME))

        alone = self.chains.alone(table)
        return alone.least_period(self._keep, prove, self.stopped, relaxed=True)

    def _any(self) -> Ending:
        """Find a chain that uses every node, where neither direction alone led to one."""
        alone = self.chains.alone(TABLES[0])
        return alone.least_period(self._keep, lambda _: None, self.stopped)

    def _pause(self) -> None:
        if self.stopped():
            raise StoppedError

    def _within(self, forward: float, backward: float) -> IntArray | None:
        """Find a chain within two caps, and keep it."""
        found = self.chains.any_chain(math.inf, (forward, backward))
        if found is not None:
            value = self._largest(found, FORWARD) + self._largest(found, BACKWARD)
            if value < self.value:
                self._keep(self.chains.decision(found))
        return found

    def _largest(self, chain: IntArray, table: int) -> float:
        return self.chains.trip_chains.largest(table, *chain)

    def _approach(self, first: float, second: float) -> None:
        """Find a good chain: raise both caps together from their least values."""
        low, high, width = 0.0, 1.0, max(self.value - first - second, 0.0)
        for _ in range(_STEPS):
            self._pause()
            part = (low + high) / 2
            if self._within(first + width * part, second + width * part) is None:
                low = part
            else:
                high = part

    def _halve(self, first: float, second: float) -> None:
        """Prove the best value; collect the forward maxima that may have it."""
        parts = [(first, False, self.value - second)]
        while parts:
            least = min(low for low, _, _ in parts)
            self.prove(min(self.value, (least + second) * (1 - SAME)))
            self._pause()
            low, is_sum, high = parts.pop()
            goal = self._goal()
            # Between two sums of runs nothing changes: the ends move to the nearest sums inside.
            low = low if is_sum else self._next(FORWARD, math.nextafter(low, -math.inf))
            high = self._last(FORWARD, min(high, goal - second))
            if low > high:
                continue
            found = self._within(high, goal - low)
            if found is None:
                continue
            if low == high:
                self._lower(low, second, self._largest(found, BACKWARD))
                self.ties.append(low)
                continue
            middle = low + (high - low) / 2
            middle = middle if middle < high else low
            parts.append((math.nextafter(middle, math.inf), False, high))
            parts.append((low, True, middle))

    def _lower(self, cap: float, low: float, high: float) -> None:
        """Find the least backward maximum, from `low` to `high`, for one cap on forward sums."""
        while low < high and cap + low < self.value:
            self._pause()
            middle = low + (high - low) / 2
            middle = middle if middle < high else low
            found = self._within(cap, middle)
            if found is None:
                low = self._next(BACKWARD, middle)
            else:
                high = self._largest(found, BACKWARD)

    def _next(self, table: int, cap: float) -> float:
        """Return the least sum of a run above a cap, infinite if there is none."""
        return self.chains.trip_caps.neighbours(table, cap)[1]

    def _last(self, table: int, cap: float) -> float:
        """Return the largest sum of a run up to a cap."""
        return self.chains.trip_caps.neighbours(table, cap)[0]
