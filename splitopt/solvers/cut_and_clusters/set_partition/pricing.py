"""Pricing where every cluster takes the best of the cuts that all of its devices may take.

At cut v a device adds the server's seconds for its mini-batches to those of its cluster. That is
the same as a price that is lower by as much, so that the clusters at one cut are priced, searched
and listed as those of `ClusterAndSpectrum`. A device that may not take the cut adds more than any
round takes.
"""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cluster_and_spectrum.data import TIED, TIMES
from splitopt.problems.cut_and_clusters import CutAndClusters
from splitopt.solvers.cluster_and_spectrum.set_partition.pricing import Priced, Pricer

_BEYOND = 4.0
"""What a refused device adds, in rounds that are longer than any."""


class CutPricer(Pricer):
    """The clusters of all cuts, each with the server's seconds in its own."""

    def __init__(self, problem: CutAndClusters) -> None:
        super().__init__(problem.at_cut(0))
        self.problem = problem
        self._cuts = [Pricer(problem.at_cut(cut)) for cut in range(len(problem.cuts))]
        phases = problem.local_epochs + 1
        server = problem.server_s
        every = sum(float(getattr(problem, field).max(axis=0).sum()) for field in (*TIMES, TIED))
        self.refused_s = _BEYOND * phases * (every + float(server.max(axis=0).sum()) + 1)
        self._added = np.where(
            problem.mask, problem.local_epochs * problem.server_s, self.refused_s
        )

    @property
    def parts(self) -> list[tuple[Pricer, FloatArray | None]]:
        """The round of every cut, with what each device adds to it."""
        return list(zip(self._cuts, self._added, strict=True))

    @property
    def server_s(self) -> float:
        """Nothing: the server's seconds are part of a cluster's."""
        return 0.0

    def price(
        self,
        prices: FloatArray,
        size: int,
        cutoff: float = np.inf,
        max_cells: int = 2**62,
        max_found: int = 1,
    ) -> Priced:
        """Search the clusters of a size at every cut, see `Pricer.price`."""
        found: list[Priced] = []
        limit = float(cutoff)
        for pricer, added in zip(self._cuts, self._added, strict=True):
            one = pricer.price(prices - added, size, limit, max_cells, max_found)
            found.append(one)
            if max_found == 1:  # what is above the best so far need not be searched for
                limit = min(limit, float(one.reduced.min(initial=np.inf)))
        return Priced(
            min(one.bound for one in found),
            np.concatenate([one.clusters for one in found]),
            np.concatenate([one.reduced for one in found]),
            sum(one.cells for one in found),
        )

    def seconds(self, clusters: IntArray) -> FloatArray:
        """Seconds of clusters of one size, shape (F, K), each at its best cut."""
        members = np.ascontiguousarray(clusters, dtype=np.int64)
        best = np.full(len(members), np.inf)
        for pricer, added in zip(self._cuts, self._added, strict=True):
            np.minimum(best, pricer.seconds(members) + added[members].sum(axis=1), out=best)
        return best
