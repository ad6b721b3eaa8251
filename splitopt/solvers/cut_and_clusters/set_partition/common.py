"""One cut for all clusters: cuts are ruled out by bounds, and few are solved to the end.

A short annealing at every cut gives a value to beat. A cut whose cheap bound, or else the bound of
whose relaxation, is no better than it needs no more work; column generation stops as soon as that
is proved. What is left is solved as `ClusterAndSpectrum` at that cut, the most promising first.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrumDecision
from splitopt.problems.cut_and_clusters import CutAndClusters, CutAndClustersDecision
from splitopt.results import StopReason
from splitopt.solvers.base import Progress, Search
from splitopt.solvers.cluster_and_spectrum.annealing import Anneal
from splitopt.solvers.cluster_and_spectrum.set_partition import SetPartition
from splitopt.solvers.cluster_and_spectrum.set_partition.by_columns import generate
from splitopt.solvers.cluster_and_spectrum.set_partition.pricing import Pricer

_EXACT = 1e-12
"""What a sum of seconds may be wrong by, relatively."""
_SWAPS = 200
"""Swaps for every device of the annealing that gives a value to beat."""
_MOST_PRICED = 300
"""Devices up to which the relaxation of a cut is solved before it is looked at in whole."""


@dataclass
class CommonCut:
    """The search over the cuts that all devices may take.

    Parameters
    ----------
    problem, search
        What is asked, and the run.
    solver
        Solves the round at one cut.
    """

    problem: CutAndClusters
    search: Search
    solver: SetPartition
    bounds: dict[int, float] = field(default_factory=dict)
    known: dict[int, ClusterAndSpectrumDecision] = field(default_factory=dict)
    values: dict[int, float] = field(default_factory=dict)

    def run(self) -> StopReason:
        """Anneal at every cut, rule cuts out by relaxations, and solve those that are left."""
        search, problem = self.search, self.problem
        self.bounds = {int(cut): problem.at_cut(int(cut)).bound() for cut in problem.common}
        self._prove()
        for cut in sorted(self.bounds, key=self.bounds.__getitem__):
            if self._is_out(cut):
                continue
            self._anneal(cut)
            if (reason := search.stop()) is not None:
                return reason
        search.details |= {"ruled_out_by_cheap_bounds": len(self.bounds) - len(self.known)}
        if problem.devices <= _MOST_PRICED:
            for cut in self._open():
                self._relax(cut)
                if (reason := search.stop()) is not None:
                    return reason
        left = self._open()
        search.details |= {"solved_in_whole": [problem.cuts[cut] for cut in left]}
        for place, cut in enumerate(left):
            if not self._is_out(cut):
                self._solve(cut, len(left) - place)
            if (reason := search.stop()) is not None:
                return reason
        return "iterations"

    def _open(self) -> list[int]:
        """Return the cuts that may be better than what is known, the best values first."""
        ranked = sorted(self.values, key=self.values.__getitem__)
        return [cut for cut in ranked if not self._is_out(cut)]

    def _is_out(self, cut: int) -> bool:
        return self.bounds[cut] >= self.search.objective * (1 - _EXACT)

    def _prove(self) -> None:
        """Report the least of the bounds; a cut that is out counts with what is known."""
        reached = self.search.objective * (1 - _EXACT)
        self.search.prove(min(*self.bounds.values(), reached))

    def _offer(self, cut: int, decision: ClusterAndSpectrumDecision, value: float) -> None:
        if value < self.values.get(cut, np.inf):
            self.known[cut], self.values[cut] = decision, value
            chosen = np.full(len(decision.clusters), cut)
            self.search.propose(
                CutAndClustersDecision(decision.clusters, decision.subcarriers, chosen)
            )

    def _anneal(self, cut: int) -> None:
        one = self.problem.at_cut(cut)
        inner = Search(one, _left(self.search), 0.0, self.search.seed)
        Anneal(iterations=_SWAPS * one.devices, chains=1).run(one, inner)
        assert isinstance(inner.best, ClusterAndSpectrumDecision)
        self._offer(cut, inner.best, inner.objective)
        self._prove()

    def _relax(self, cut: int) -> None:
        """Generate columns until the bound is at least what is known."""
        one = self.problem.at_cut(cut)
        inner = Search(one, _left(self.search), 0.0, self.search.seed)
        inner.propose(self.known[cut])
        clusters = [np.sort(cluster) for cluster in self.known[cut].clusters]
        enough = self.search.objective * (1 - _EXACT)
        found = generate(Pricer(one), inner, clusters, self.solver.max_cells, enough)
        self.bounds[cut] = max(self.bounds[cut], found.bound)
        if found.best is not None:
            prices = self.search.details.setdefault("prices", {})
            prices[self.problem.cuts[cut]] = found.best.device.tolist()
        self.search.iterations += inner.iterations
        self._prove()

    def _solve(self, cut: int, share_of: int) -> None:
        """Solve the round at one cut in its share of the time, or until it is out."""
        one, limit = self.problem.at_cut(cut), _left(self.search)
        if limit is not None:
            limit /= share_of

        def watch(progress: Progress) -> bool:
            """Pass the bound on, and stop where the cut is out or the whole run is over."""
            self.bounds[cut] = max(self.bounds[cut], progress.bound)
            self._prove()
            return self._is_out(cut) or self.search.stop() is not None

        inner = Search(one, limit, self.search.rel_gap, self.search.seed, watch)
        inner.start = self.known[cut]
        inner.propose(self.known[cut])
        inner.prove(self.bounds[cut])
        self.solver.run(one, inner)
        assert isinstance(inner.best, ClusterAndSpectrumDecision)
        self._offer(cut, inner.best, inner.objective)
        self.bounds[cut] = max(self.bounds[cut], inner.bound)
        self.search.iterations += inner.iterations
        self._prove()


def _left(search: Search) -> float | None:
    return None if search.time_limit_s is None else search.remaining_s
