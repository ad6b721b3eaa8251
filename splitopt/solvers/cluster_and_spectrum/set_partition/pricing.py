"""Pricing: the least reduced cost of all clusters of one size, and clusters that come close."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum
from splitopt.problems.cluster_and_spectrum.subcarriers import allocate_flat
from splitopt.problems.compiling import plain
from splitopt.results import Decision

if TYPE_CHECKING:
    from splitopt.solvers.cluster_and_spectrum.set_partition.choice import PricingRequest, Workspace

ROUNDING = 1e-13
"""What a sum of prices and seconds may be wrong by, relative to the sizes of its numbers."""


@dataclass(frozen=True)
class Priced:
    """What a search among the clusters of one size found.

    Parameters
    ----------
    bound
        A lower bound on the least reduced cost, or the cutoff where nothing is below it.
    clusters
        Shape (F, K): clusters with reduced costs below the cutoff, members ascending.
    reduced
        Shape (F,): their reduced costs in s.
    cells
        How many cells were searched.
    """

    bound: float
    clusters: IntArray
    reduced: FloatArray
    cells: int


class Priceable(Protocol):
    """What is asked of a problem whose clusters are priced."""

    @property
    def devices(self) -> int:
        """Number of devices N."""
        ...

    @property
    def is_small(self) -> bool:
        """Whether Python goes through it faster than loops are loaded."""
        ...

    def complete(self, clusters: list[IntArray]) -> Decision:
        """Return the best decision with these clusters."""
        ...


class Pricer:
    """The data that pricing needs, prepared once for a problem.

    Costs here are seconds without the server's part, which no decision changes: `server_s` for a
    round as a whole.
    """

    problem: Priceable

    def __init__(self, problem: ClusterAndSpectrum) -> None:
        self.problem = self.round = problem
        self.terms: FloatArray = np.ascontiguousarray(problem.terms)
        phases = [0, 1, 2] if problem.inner_phases else [0, 2]
        self.fixed = np.ascontiguousarray(self.terms[:, [2 * p for p in phases]].T)
        self.spectral = np.ascontiguousarray(self.terms[:, [2 * p + 1 for p in phases]].T)
        self.weights = np.array([1.0, problem.inner_phases, 1.0])[phases]
        sizes, counts = np.unique(problem.cluster_sizes, return_counts=True)
        self.count_of: dict[int, int] = dict(zip(sizes.tolist(), counts.tolist(), strict=True))
        self._levels: dict[int, tuple[FloatArray, IntArray]] = {}
        self._spaces: dict[int, Workspace] = {}

    @property
    def parts(self) -> list[tuple[Pricer, FloatArray | None]]:
        """The rounds that clusters may be formed in, with what each device adds there, (N,) in s.

        None where it adds nothing. A cluster takes the least of what it takes in any of them.
        """
        return [(self, None)]

    @cached_property
    def server_s(self) -> float:
        """The server's seconds in a round."""
        problem = self.round
        return problem.local_epochs * problem.devices * problem.server_s_per_device

    def levels(self, size: int) -> tuple[FloatArray, IntArray]:
        """Return the sorted levels of each phase, one after the other, and where each begins."""
        if size not in self._levels:
            x = np.arange(1, self.round.subcarriers - size + 2)
            per_phase = [
                np.unique(fixed[:, None] + spectral[:, None] / x)
                for fixed, spectral in zip(self.fixed, self.spectral, strict=True)
            ]
            starts = np.cumsum([0, *map(len, per_phase)]).astype(np.int64)
            self._levels[size] = np.concatenate(per_phase), starts
        return self._levels[size]

    def price(
        self,
        prices: FloatArray,
        size: int,
        cutoff: float = np.inf,
        max_cells: int = 2**62,
        max_found: int = 1,
    ) -> Priced:
        """Search the clusters of a size for reduced costs (seconds less prices) below a cutoff."""
        from splitopt.solvers.cluster_and_spectrum.set_partition import cells as search
        from splitopt.solvers.cluster_and_spectrum.set_partition.choice import workspace_for

        request = self._request(prices, size)
        if size not in self._spaces:
            self._spaces[size] = workspace_for(request, size)
        space, cells = self._spaces[size], search.first_cell(request.starts)
        found, reduced = np.empty((max_found, size), dtype=np.int64), np.empty(max_found)
        state, limits = np.array([1, 1, 0, 0]), np.array([cutoff, cutoff])
        run = plain(search.search_cells) if self.round.is_small else search.search_cells
        while True:
            run(request, space, cells, state, limits, max_cells, found, reduced)
            slots, waiting, searched, count = state.tolist()
            if slots < len(cells.heap):
                break
            cells = search.with_twice_the_slots(cells)
        # No cluster is below the least that was found and the bounds of the cells that wait.
        bound = min(float(limits[1]), cells.bound[cells.heap[0]] if waiting else np.inf)
        found = np.sort(found[:count], axis=1)
        return Priced(float(bound), found, reduced[:count], searched)

    def _request(self, prices: FloatArray, size: int) -> PricingRequest:
        from splitopt.solvers.cluster_and_spectrum.set_partition.choice import PricingRequest

        tables = (self.terms, self.fixed, self.spectral, self.weights, *self.levels(size))
        y = np.array(prices, dtype=np.float64)  # a copy: loops are compiled for what can be written
        order = np.argsort(-y, kind="stable")
        return PricingRequest(*tables, y, order, self.round.subcarriers, self.round.inner_phases)

    def seconds(self, clusters: IntArray) -> FloatArray:
        """Seconds, without the server's part, of clusters of one size, shape (F, K)."""
        members = np.ascontiguousarray(clusters, dtype=np.int64)
        return allocate_flat(
            self.terms,
            members.ravel(),
            np.arange(len(members) + 1, dtype=np.int64) * members.shape[1],
            subcarriers=self.round.subcarriers,
            local_epochs=self.round.local_epochs,
            server_s_per_device=0.0,
            small=self.round.is_small,
        ).seconds

    def lagrangian(
        self, prices: FloatArray, least: dict[int, float], sigma: FloatArray | None = None
    ) -> float:
        """Return the bound on a round that follows from prices, less what rounding may amount to.

        Every partition takes ``sum prices + sum of its clusters' reduced costs``, and it has a
        given number of clusters of each size.

        Parameters
        ----------
        prices
            Shape (N,), any numbers.
        least
            Size -> a lower bound on the reduced cost of every cluster of this size.
        sigma
            Shape (Q,): the prices of cuts on triples, see the module `triples`.
        """
        parts = [*prices.tolist(), self.server_s]
        if sigma is not None:
            parts += (-sigma).tolist()
        parts += [count * least[size] for size, count in self.count_of.items()]
        return float(np.sum(parts)) - ROUNDING * float(np.sum(np.abs(parts)))
