"""What solvers call: the least period, the least latency under a cap, and the shortest epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from splitopt.problems.base import IntArray
from splitopt.problems.pipeline_partition import PipelinePartition, PipelinePartitionDecision
from splitopt.solvers.pipeline_partition.chains.alike import kinds_of
from splitopt.solvers.pipeline_partition.chains.graph import sizes
from splitopt.solvers.pipeline_partition.chains.layout import Chains, chains_of

if TYPE_CHECKING:
    from splitopt.solvers.pipeline_partition.chains.loops import Loops
    from splitopt.solvers.pipeline_partition.chains.windows import Windows

SAME = 1e-12
"""Periods that differ by less, relatively, differ by rounding alone."""
MOST_PLACES = 2**30
"""Bytes of the sets of boundaries, or of the seconds to each boundary, that are held at most."""
_SLICE = 3e7
"""Steps of the innermost loops after which the clock is looked at, roughly."""
_TESTS = 30
"""Caps that a search tests, roughly."""

Ending = Literal["proved", "infeasible", "stopped", "large"]


@dataclass(frozen=True)
class Found:
    """A chain with its period and its latency (without the owners' transfers), in s."""

    decision: PipelinePartitionDecision
    period_s: float
    latency_s: float


class TooLargeError(Exception):
    """An answer needs more memory than `MOST_PLACES`."""


class ChainSearch:
    """Exact answers about the chains of one problem; its objective does not matter.

    Parameters
    ----------
    problem
        The problem.
    """

    def __init__(self, problem: PipelinePartition) -> None:
        self.problem = problem
        self.kinds = kinds_of(problem)
        self.tests = 0

    @property
    def vertices(self) -> int:
        """How many states there are beside the number of layers, from above."""
        return sizes(self.kinds.count, self.kinds.link_class, self.problem.order)[1]

    @property
    def link_entries(self) -> int:
        """How many seconds the tables of links hold, from above."""
        classes = self.kinds.classes if self.problem.links.model == "pairwise" else 1
        given = self.problem.order == "given"
        pairs = classes**2 // 2 if given else classes**2
        if given and self.problem.use_all_nodes:
            pairs = classes
        return (pairs + 1) * (self.problem.layers + 1)

    @cached_property
    def chains(self) -> Chains:
        """The layout for questions about periods."""
        return chains_of(self.problem, self.kinds, self._loops(1), with_trips=False)

    @cached_property
    def trip_chains(self) -> Chains:
        """The layout for questions about latencies."""
        if not self.problem.links.has_interfaces or self.kinds.classes == 1:
            return self.chains
        return chains_of(self.problem, self.kinds, self._loops(1), with_trips=True)

    @property
    def class_nodes(self) -> list[int]:
        """A node of each link class of `trip_chains`, K of them."""
        classes = self.kinds.link_class.tolist()
        return [int(self.kinds.first[classes.index(klass)]) for klass in range(self.kinds.classes)]

    def with_ends(self, first: Sequence[int], last: Sequence[int]) -> ChainSearch:
        """Return the search among the chains whose ends are of some link classes.

        It answers `least_trip` only. A chain cannot begin with another class, since there is no
        link from the owner to it, and is not accepted where it ends with another one.
        """
        chains = self.trip_chains
        classes = np.arange(self.kinds.classes)
        closed = np.full((1, chains.busy_s.shape[1]), np.inf)
        row = chains.row.copy()
        row[-1, ~np.isin(classes, first)] = len(chains.busy_s)
        found = copy(self)
        found.__dict__.pop("_trip_windows", None)
        found.__dict__["trip_chains"] = chains._replace(
            row=row,
            busy_s=np.concatenate((chains.busy_s, closed)),
            trip_s=np.concatenate((chains.trip_s, closed)),
            accept=chains.accept & np.isin(chains.vertex_class, last),
        )
        found.tests = 0
        return found

    def least_period(
        self,
        offer: Callable[[PipelinePartitionDecision], object],
        prove: Callable[[float], object],
        stopped: Callable[[], bool],
    ) -> Ending:
        """Find and prove the least period.

        Parameters
        ----------
        offer, prove
            Told every better decision, and every better lower bound in s.
        stopped
            Asked now and then whether to give up.

        Returns
        -------
        ending
            ``"proved"``, ``"infeasible"``, ``"stopped"``, or ``"large"`` where a test would need
            more memory than `MOST_PLACES`.
        """
        from splitopt.solvers.pipeline_partition.chains import bracket
        from splitopt.solvers.pipeline_partition.chains.windows import windows_for

        loops, chains = self._loops(_TESTS), self.chains
        windows, kinds, cuts = windows_for(chains), *self._room()
        low, top = loops.ends_of_range(chains, self.problem.nodes)
        state = np.array([low, np.inf, top, np.inf, bracket.FIRST_STEP, bracket.SHRINK, 0.0])
        tests = max(1, int(_SLICE / self._steps))
        while True:
            length = loops.advance(chains, windows, state, kinds, cuts, tests, MOST_PLACES)
            phase = state[bracket.PHASE]
            self.tests, state[bracket.TESTS] = self.tests + int(state[bracket.TESTS]), 0.0
            if phase == bracket.INFEASIBLE:
                return "infeasible"
            if length:
                offer(self._decision(kinds, cuts, length))
            prove(float(state[bracket.LOW]))
            if phase == bracket.DONE:
                return "proved"
            if phase == bracket.TOO_LARGE:
                return "large"
            if stopped():
                if length or np.isfinite(state[bracket.HIGH]):
                    return "stopped"
                # one last test, of the largest cap: any decision, or that there is none
                state[bracket.RELAXED] = top
                state[bracket.PHASE] = bracket.GALLOP
                tests = 1

    def least_trip(self, cap_s: float) -> Found | None:
        """Find the chain of the least latency among those with a period of at most `cap_s`.

        Raises
        ------
        TooLargeError
            It would need more memory than `MOST_PLACES`.
        """
        loops, chains, windows = self._loops(3), self.trip_chains, self._trip_windows
        self.tests += 1
        if not loops.open_windows(chains, cap_s, windows):
            return None
        if windows.offset[-1] * 8 > MOST_PLACES:
            raise TooLargeError(f"{windows.offset[-1]:,} states would have to be held")
        least = loops.least_trips(chains, cap_s, windows)
        kinds, cuts = self._room()
        length, latency, period = loops.retrace(chains, cap_s, windows, least, kinds, cuts)
        if length == 0:
            return None
        return Found(self._decision(kinds, cuts, length), float(period), float(latency))

    def is_feasible(self) -> bool:
        """Tell whether any chain meets all constraints; `TooLargeError` as in `least_trip`."""
        from splitopt.solvers.pipeline_partition.chains.windows import windows_for

        loops, chains, cap = self._loops(2), self.chains, self.largest_period_s
        windows = windows_for(chains)
        if not loops.open_windows(chains, cap, windows):
            return False
        if windows.offset[-1] > MOST_PLACES:
            raise TooLargeError(f"{windows.offset[-1]:,} states would have to be held")
        return loops.reach(chains, cap, windows)[0] >= 0

    @cached_property
    def largest_period_s(self) -> float:
        """A period that no chain exceeds, in s."""
        return float(self._loops(1).ends_of_range(self.chains, self.problem.nodes)[1])

    @cached_property
    def least_latency_s(self) -> float:
        """A latency that no chain undercuts, in s: every layer on its fastest node."""
        return float(self.chains.layer_s.min(axis=0).sum()) * (1 - SAME)

    @cached_property
    def _trip_windows(self) -> Windows:
        from splitopt.solvers.pipeline_partition.chains.windows import windows_for

        return windows_for(self.trip_chains)

    @cached_property
    def _steps(self) -> int:
        """Steps of the innermost loops in a test of one cap, roughly."""
        kinds, width = len(self.kinds.count), self.problem.layers + 1
        classes = self.kinds.classes if self.problem.links.model == "pairwise" else 1
        groups = sizes(self.kinds.count, self.kinds.link_class, self.problem.order)[0]
        return width * (3 * kinds + 2 * classes**2) + groups * (classes**2 + 10 * kinds)

    def _loops(self, tests: int) -> Loops:
        from splitopt.solvers.pipeline_partition.chains.loops import loops_for

        return loops_for(self._steps * tests)

    def _room(self) -> tuple[IntArray, IntArray]:
        nodes = self.problem.nodes
        return np.empty(nodes, dtype=np.int64), np.empty(nodes, dtype=np.int64)

    def _decision(self, kinds: IntArray, cuts: IntArray, length: int) -> PipelinePartitionDecision:
        """Turn a chain in reverse into a decision."""
        nodes = self.kinds.nodes(kinds[:length][::-1].tolist())
        return PipelinePartitionDecision.of_chain(nodes, [0, *cuts[:length][::-1].tolist()])
