"""The state that the searches over caps share: the best chain so far, what is proved, when to stop.

Nothing is proposed to the `Search` before the end: of several partitions with the best objective
the quickest one is wanted, and a search keeps the first that it is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from splitopt.results import StopReason
from splitopt.solvers.base import Search
from splitopt.solvers.pipeline_partition.plain.layout import Layout
from splitopt.solvers.pipeline_partition.plain.reach import Answer, Reach, Run
from splitopt.solvers.pipeline_partition.plain.scaled import Scaled

_TIE = 2**40
"""Sums that differ by less than one in this many parts (1e-12) differ by rounding: they tie."""


class StoppedError(Exception):
    """The run has to end; what it has so far is in the `Hunt`."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(reason)
        self.reason: StopReason = reason


@dataclass
class Hunt:
    """One search on one scale.

    Parameters
    ----------
    layout, scaled, reach
        The problem, its times in units, and the tests on them.
    search
        The run that this is part of.
    value_of
        The objective of a chain in units.
    best
        The best chain so far; it uses every node if it must.
    bound
        A proved lower bound of the objective in units.
    constant_s
        What the objective has beside the units, in s.
    note
        What the user should know of the answer.
    """

    layout: Layout
    scaled: Scaled
    search: Search
    value_of: Callable[[Run], int]
    best: Run
    bound: int = 0
    constant_s: float = 0.0
    note: str | None = None
    reach: Reach = field(init=False)
    value: int = field(init=False)

    def __post_init__(self) -> None:
        self.reach = Reach(self.layout, self.scaled)
        self.value = self.value_of(self.best)

    def offer(self, run: Run) -> int:
        """Keep a chain that is feasible if it is better; give its value."""
        value = self.value_of(run)
        if value < self.value:
            self.best, self.value = run, value
        return value

    def prove(self, bound: int) -> None:
        """Raise the bound, and stop where that closes the gap or time is up."""
        if bound > self.bound:
            self.bound = bound
            self.search.prove(self.bound_s)
        self.pause()

    def pause(self) -> None:
        """Stop if it is time to."""
        if (reason := self.search.stop()) is not None:
            raise StoppedError(reason)
        allowed = self.search.rel_gap
        if allowed > 1e-9 and self.value - self.bound <= allowed * self.value:
            raise StoppedError("gap")

    @property
    def bound_s(self) -> float:
        """The bound in s."""
        return self.scaled.seconds(self.bound) + self.constant_s

    def exact(self, answer: Answer) -> Run | None:
        """Give a chain under the caps of the last test that uses every node if it must."""
        run = answer.run
        if run is None or self.layout.may_idle or not run.has_idle:
            return run
        found = self.reach.quickest()
        return None if found is None else found[1]


def slack(value: int) -> int:
    """Give by how much a sum may exceed another one and still tie with it."""
    return value // _TIE
