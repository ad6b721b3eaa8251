"""What solvers call: the least period of any chain, and the least latency under caps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from splitopt.problems.base import IntArray
from splitopt.problems.pipeline_partition import PipelinePartition, PipelinePartitionDecision
from splitopt.solvers.pipeline_partition.chains.alike import kinds_of
from splitopt.solvers.pipeline_partition.chains.bracket import Bracket, ends_of_range
from splitopt.solvers.pipeline_partition.chains.caps import Caps
from splitopt.solvers.pipeline_partition.chains.graph import sizes
from splitopt.solvers.pipeline_partition.chains.layout import chains_of
from splitopt.solvers.pipeline_partition.chains.loops import Loops, loops_for
from splitopt.solvers.pipeline_partition.chains.state import Chains

SAME = 1e-12
"""Values that differ by less, relatively, differ by rounding alone."""
_SLICE = 3e7
"""Steps of the innermost loops after which the clock is looked at, roughly."""
_TESTS = {"period": 15, "epoch": 20, "round": 25, "paper": 60}
"""Caps that a search tests, roughly."""

Ending = Literal["proved", "infeasible", "stopped", "large"]


@dataclass(frozen=True)
class Found:
    """A chain with its period and its latency (without the owners' transfers), in s."""

    decision: PipelinePartitionDecision
    period_s: float
    latency_s: float


class ChainSearch:
    """Exact answers about the chains of one problem.

    Its objective does not matter, but for "paper": then caps on forward and backward sums of their
    own can be set, see `least_trip`.

    Parameters
    ----------
    problem
        The problem.
    loops
        The version of the loops to use; None for the one that suits the problem.
    """

    def __init__(self, problem: PipelinePartition, loops: Loops | None = None) -> None:
        self.problem = problem
        self.kinds = kinds_of(problem)
        self.loops = loops_for(self.steps) if loops is None else loops
        self._others: list[ChainSearch] = []
        self._tests = 0

    @property
    def tests(self) -> int:
        """How many caps were tested."""
        held = [self.__dict__.get(name) for name in ("_period_caps", "trip_caps")]
        own = self._tests + sum(caps.tests for caps in held if isinstance(caps, Caps))
        return own + sum(other.tests for other in self._others)

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

    @property
    def steps(self) -> float:
        """Steps of the innermost loops in a whole search, roughly."""
        return self._steps * _TESTS[self.problem.objective]

    @cached_property
    def _chains(self) -> Chains:
        """The layout for questions about periods."""
        return chains_of(self.problem, self.kinds, self.loops, with_trips=False)

    @cached_property
    def trip_chains(self) -> Chains:
        """The layout for questions about latencies."""
        if not self.problem.links.has_interfaces or self.kinds.classes == 1:
            return self._chains
        return chains_of(self.problem, self.kinds, self.loops, with_trips=True)

    def leave_out(self, value_s: float) -> None:
        """Put no layer where it alone is slower than a value that is reached.

        Trips only need that where such layers would drown others: sums keep all their digits then.
        """
        if self.trip_chains.drowns(value_s):
            self._forget("trip_chains", "trip_caps")
            interfaces = self.problem.links.has_interfaces
            self.__dict__["trip_chains"] = chains_of(
                self.problem, self.kinds, self.loops, interfaces, value_s
            )

    def _forget(self, *names: str) -> None:
        for name in names:
            found = self.__dict__.pop(name, None)
            if isinstance(found, Caps):
                self._tests += found.tests

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
        rows = chains.link_s.shape[1]
        closed = np.full((2, 1, chains.link_s.shape[2]), np.inf)
        row = chains.row.copy()
        row[-1, ~np.isin(np.arange(self.kinds.classes), first)] = rows
        vertices = chains.graph.vertices.copy()
        vertices[1] &= np.isin(vertices[0], last)
        found = copy(self)
        found._others, found._tests = [], 0
        for name in ("_period_caps", "trip_caps"):
            found.__dict__.pop(name, None)
        found.__dict__["trip_chains"] = chains._replace(
            row=row,
            link_s=np.concatenate((chains.link_s, closed), axis=1),
            graph=chains.graph._replace(vertices=vertices),
        )
        return found

    def alone(self, table: Literal["forward_s", "backward_s"]) -> ChainSearch:
        """Return the search that counts the seconds of one direction alone."""
        nothing = np.zeros_like(self.problem.forward_s)
        if table == "forward_s":
            problem = replace(self.problem, objective="period", backward_s=nothing)
        else:
            problem = replace(self.problem, objective="period", forward_s=nothing)
        one = ChainSearch(problem, self.loops)
        self._others.append(one)
        return one

    def least_period(
        self,
        offer: Callable[[PipelinePartitionDecision], object],
        prove: Callable[[float], object],
        stopped: Callable[[], bool],
        relaxed: bool = False,
    ) -> Ending:
        """Find and prove the least period.

        Parameters
        ----------
        offer, prove
            Told every better decision, and every better lower bound in s.
        stopped
            Asked now and then whether to give up.
        relaxed
            Be content with the bound that holds if nodes may be left out, where links are free.

        Returns
        -------
        ending
            ``"proved"``, ``"infeasible"``, ``"stopped"``, or ``"large"`` where a test would need
            more memory than `MOST_PLACES`.
        """
        bracket = Bracket(self._period_caps, self.problem.nodes)
        tests = max(1, int(_SLICE / self._steps))
        while True:
            better = bracket.advance(tests)
            if bracket.phase == "infeasible":
                return "infeasible"
            if better and bracket.chain is not None:
                decision = self.decision(bracket.chain)
                offer(decision)
                if self._chains.drowns(bracket.high):
                    bracket = self._without_slower(decision)
                    continue
            if not self._chains.drowns(bracket.low):
                prove(bracket.low)
            if bracket.phase == "done" or (relaxed and bracket.phase == "gallop"):
                return "proved"
            if bracket.phase == "large":
                return "large"
            if stopped():
                if bracket.chain is not None:
                    return "stopped"
                bracket.only_largest()
                tests = 1

    def _without_slower(self, decision: PipelinePartitionDecision) -> Bracket:
        """Begin anew without putting layers where they alone take longer than a known period."""
        period_s = self.problem.load(decision).period_s
        self._forget("_chains", "_period_caps")
        self.__dict__["_chains"] = chains_of(
            self.problem, self.kinds, self.loops, with_trips=False, slowest_s=period_s
        )
        return Bracket(self._period_caps, self.problem.nodes)

    def least_trip(self, cap_s: float, apart_s: Sequence[float] = ()) -> Found | None:
        """Find the chain of the least latency among those that keep to caps.

        Parameters
        ----------
        cap_s
            Of the period.
        apart_s
            Of every node's forward and backward time, for the objective "paper".

        Raises
        ------
        TooLargeError
            It would need more memory than `MOST_PLACES`.
        """
        if not self.trip_caps.open(cap_s, apart_s):
            return None
        trip = self.trip_caps.least_trip()
        if trip is None:
            return None
        return Found(self.decision(trip.chain), trip.period_s, trip.latency_s)

    def any_chain(self, cap_s: float, apart_s: Sequence[float]) -> IntArray | None:
        """Find some chain that keeps to caps, as for `least_trip`: kinds and ends in reverse."""
        if not self.trip_caps.open(cap_s, apart_s):
            return None
        found = self.trip_caps.any_chain()
        return None if found is None else found[0]

    def is_feasible(self) -> bool:
        """Report whether any chain meets all constraints; `TooLargeError` as in `least_trip`."""
        caps = self._period_caps
        return caps.open(self.largest_period_s) and caps.any_chain() is not None

    @cached_property
    def largest_period_s(self) -> float:
        """A period that no chain exceeds, in s."""
        return ends_of_range(self._chains, self.problem.nodes)[1]

    @cached_property
    def least_latency_s(self) -> float:
        """A latency that no chain undercuts, in s: every layer on its fastest node."""
        return float(self.trip_chains.layer_s.min(axis=0).sum()) * (1 - SAME)

    @cached_property
    def _period_caps(self) -> Caps:
        return self._caps(self._chains)

    @cached_property
    def trip_caps(self) -> Caps:
        """The tests of `least_trip`."""
        return self._caps(self.trip_chains)

    def _caps(self, chains: Chains) -> Caps:
        return Caps(chains, self.loops, self.problem.nodes, not self.problem.use_all_nodes)

    @cached_property
    def _steps(self) -> int:
        """Steps of the innermost loops in a test of one cap, roughly."""
        kinds, width = len(self.kinds.count), self.problem.layers + 1
        classes = self.kinds.classes if self.problem.links.model == "pairwise" else 1
        groups = sizes(self.kinds.count, self.kinds.link_class, self.problem.order)[0]
        width *= 2 if self.problem.links.has_interfaces else 1  # runs are tried one by one
        return width * (3 * kinds + 2 * classes**2) + groups * (classes**2 + 10 * kinds)

    def decision(self, chain: IntArray) -> PipelinePartitionDecision:
        """Turn a chain in reverse into a decision."""
        kinds, cuts = chain[:, ::-1].tolist()
        return PipelinePartitionDecision.of_chain(self.kinds.nodes(kinds), [0, *cuts])
