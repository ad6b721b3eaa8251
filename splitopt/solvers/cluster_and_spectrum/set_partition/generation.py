"""Column generation: the relaxation over all clusters, and the bound that its prices prove."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from splitopt.problems.base import FloatArray
from splitopt.solvers.cluster_and_spectrum.set_partition.columns import Columns, Duals, Master
from splitopt.solvers.cluster_and_spectrum.set_partition.pricing import Pricer

_SMOOTHING = 0.5
"""Share of the best prices so far in those that are priced first."""
_FOUND = 400
"""Clusters that one pricing brings at most."""
_TIE = 1e-10
"""A reduced cost that is not below zero by this many units is not worth a column."""


@dataclass
class Generation:
    """The relaxation as it is being solved.

    Parameters
    ----------
    pricer, columns, master
        The problem, what is known of it, and the program over that.
    max_cells
        Limit on the cells of one pricing.
    prove
        Called with every better bound, in s.
    """

    pricer: Pricer
    columns: Columns
    master: Master
    max_cells: int
    prove: Callable[[float], None]
    bound: float = -np.inf
    best: Duals | None = None
    """The prices that prove the bound."""
    latest: Duals | None = None
    """The prices of the last master."""
    value: float = np.inf
    """What the last master takes, in s, with the server's part."""
    passes: int = 0
    cells: int = 0
    complete: bool = field(default=False)
    """Whether no cluster improves the master any more, up to its tolerance."""

    def step(self, time_limit_s: float) -> bool:
        """Solve the master and price; tell whether columns were found."""
        solved = self.master.solve(time_limit_s)
        if solved is None:
            return False
        self.passes += 1
        self.value = solved[0] + self.pricer.server_s
        self.latest = solved[1]
        trials = [self.latest]
        if self.best is not None:
            trials.insert(0, self.latest.mixed(self.best, _SMOOTHING))
        for duals in trials:
            if self._price(duals):
                self.master.extend()
                return True
        self.complete = True
        return False

    def _price(self, duals: Duals) -> int:
        """Price all sizes at these prices; return the number of new columns."""
        least: dict[int, float] = {}
        new = 0
        tie = _TIE * self.master.unit_s
        for size, price in duals.size.items():
            found = self.pricer.price(duals.device, size, price - tie, self.max_cells, _FOUND)
            least[size] = found.bound
            self.cells += found.cells
            new += len(self.columns.add(found.clusters))
        self.note(duals.device, least, duals)
        return new

    def note(self, prices: FloatArray, least: dict[int, float], duals: Duals) -> None:
        """Keep a bound that is better than the best so far, and report it."""
        bound = self.pricer.lagrangian(prices, least)
        if bound > self.bound:
            self.bound, self.best = bound, duals
            self.prove(bound)

    def settle(self) -> None:
        """Price the final prices without a cutoff, which loses nothing to tolerances."""
        if self.best is None:
            return
        for duals in (self.best, self.latest):
            if duals is None:
                continue
            least = {}
            for size in duals.size:
                found = self.pricer.price(duals.device, size, np.inf, self.max_cells)
                least[size] = found.bound
                self.cells += found.cells
            self.note(duals.device, least, duals)
