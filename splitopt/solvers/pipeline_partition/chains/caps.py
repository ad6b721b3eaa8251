"""Tests of caps on one problem: which chains keep to them, and the quickest of these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.solvers.pipeline_partition.chains.loops import Loops
from splitopt.solvers.pipeline_partition.chains.state import (
    LINKS,
    Chains,
    Graph,
    LinkTables,
    Nodes,
    Windows,
)

MOST_PLACES = 2**30
"""Bytes of the sets of boundaries, or of the seconds to each boundary, that are held at most."""


class TooLargeError(Exception):
    """An answer needs more memory than `MOST_PLACES`."""


class Trip(NamedTuple):
    """A chain, (2, nodes) in reverse: kinds and ends of runs; its latency and period in s."""

    chain: IntArray
    latency_s: float
    period_s: float


class Caps:
    """The tests; each one opens windows for a cap, and questions are about the last test.

    Parameters
    ----------
    chains
        The problem.
    loops
        The version of the loops to use.
    nodes
        The most nodes that a chain has.
    may_idle
        Whether a chain may leave nodes out.
    """

    def __init__(self, chains: Chains, loops: Loops, nodes: int, may_idle: bool) -> None:
        self.chains, self.loops, self.may_idle = chains, loops, may_idle
        self.tests = 0
        self.above = np.inf
        """The least sum above the cap of a run of layers, which a larger cap would allow."""
        self._windows = Windows.of(chains)
        self._chain = np.empty((2, nodes), dtype=np.int64)
        self._caps = np.full(len(chains.sums), np.inf)
        self.is_unlinked = chains.link_s.shape[1] == 1 and chains.interface == LINKS
        """Whether every link is free, so that the furthest boundaries are mostly enough."""

    def open(self, cap: float, apart: Sequence[float] = ()) -> bool:
        """Open the windows; False if the caps are refuted already.

        Parameters
        ----------
        cap
            On table 0, links and interfaces, in s.
        apart
            On the other tables.
        """
        chains, windows = self.chains, self._windows
        cap = float(cap)
        self._caps[0], self._caps[1:] = cap, apart
        self.tests += 1
        first = 1 if apart else 0  # the cap on both directions together is none then
        self.above = self._longest(chains.sums[first:], self._caps[first:])[1]
        self.loops.fill_spans(chains.nodes, cap, chains.link_s, windows.spans, windows.crossings)
        return bool(self.loops.open_windows(chains.links, chains.graph, windows))

    def any_chain(self) -> tuple[IntArray, float] | None:
        """Find a chain within the caps, (2, nodes) in reverse, and its period in s.

        Raises
        ------
        TooLargeError
            It would need more memory than `MOST_PLACES`.
        """
        if self.is_unlinked:
            chain, period, whole = self.furthest()
            if whole:
                return chain, period
        if self._windows.places > MOST_PLACES:
            raise TooLargeError(f"{self._windows.places:,} states would have to be held")
        vertex, reached = self.loops.reach_all(*self._arrays())
        if vertex < 0:
            return None
        length, period = self.loops.trace(*self._arrays(), reached, vertex, self._chain)
        return self._chain[:, :length].copy(), float(period)

    def least_trip(self) -> Trip | None:
        """Find the chain of the least latency within the caps.

        Raises
        ------
        TooLargeError
            It would need more memory than `MOST_PLACES`.
        """
        if self._windows.places * 8 > MOST_PLACES:
            raise TooLargeError(f"{self._windows.places:,} states would have to be held")
        arrays = self._arrays()
        trips = self.loops.least_trips(*arrays, self._capped_sums())
        length, latency, period = self.loops.retrace(*arrays, trips, self._chain)
        if length == 0:
            return None
        return Trip(self._chain[:, :length].copy(), float(latency), float(period))

    def neighbours(self, table: int, cap: float) -> tuple[float, float]:
        """Return the largest sum of a run in a table up to a cap, and the least above it.

        The windows are another cap's after that.
        """
        return self._longest(self.chains.sums[table : table + 1], np.array([cap]))

    def _longest(self, sums: FloatArray, caps: FloatArray) -> tuple[float, float]:
        """Find the longest runs for caps on some tables, see `spans.longest_runs`."""
        below, above = self.loops.longest_runs(
            sums, self.chains.memory_end, caps, self._windows.spans[0]
        )
        return float(below), float(above)

    def next_occupied(self, cap: float, upper: float) -> float:
        """Find the least value of a run with its interface between two caps, see `spans`."""
        c = self.chains
        return float(self.loops.next_occupied(c.nodes, c.memory_end, cap, upper))

    def call_all(self) -> None:
        """Call every loop that questions about problems with such links may need."""
        self.open(np.inf, [np.inf] * (len(self._caps) - 1))
        vertex, reached = self.loops.reach_all(*self._arrays())
        self.loops.trace(*self._arrays(), reached, vertex, self._chain)
        self.least_trip()
        if self.is_unlinked:
            self.furthest()
        if self.chains.interface != LINKS:
            self.next_occupied(0.0, np.inf)

    def furthest(self) -> tuple[IntArray, float, bool]:
        """Follow the furthest boundaries within the caps, where every link is free.

        Returns
        -------
        A chain, (2, nodes) in reverse; its period in s; and whether it is one: False if it misses
        nodes that must be used.
        """
        length, idle = self.loops.furthest_chain(self.chains.graph, self._windows, self._chain)
        chain = self._chain[:, :length].copy()
        return chain, self.chains.largest(0, *chain), self.may_idle or not idle

    def _capped_sums(self) -> FloatArray:
        """Sum the seconds of layers, none above the caps, (T, S + 1)."""
        layer_s = self.chains.layer_s
        most = min(self._caps[0], self._caps[1:].sum()) if len(self._caps) > 1 else self._caps[0]
        sums = np.zeros((layer_s.shape[0], layer_s.shape[1] + 1))
        np.cumsum(np.minimum(most, layer_s), axis=1, out=sums[:, 1:])
        return sums

    def _arrays(self) -> tuple[float, Nodes, LinkTables, Graph, Windows]:
        """Return what `reach` and `trips` work on."""
        c = self.chains
        return float(self._caps[0]), c.nodes, c.links, c.graph, self._windows
