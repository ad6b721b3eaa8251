"""Every cluster at a cut of its own: a set partition whose columns are clusters at their best cut.

The relaxation, its bound, the listing of all clusters that may be better and the search over exact
covers are those of one cut; only what a cluster takes differs, see `CutPricer`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splitopt.errors import InfeasibleError
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_clusters import CutAndClusters
from splitopt.results import StopReason
from splitopt.solvers.base import Search
from splitopt.solvers.cluster_and_spectrum.annealing import Anneal
from splitopt.solvers.cluster_and_spectrum.set_partition.by_columns import (
    clusters_of_best,
    solve_by_columns,
)
from splitopt.solvers.cluster_and_spectrum.set_partition.proof import Proof
from splitopt.solvers.cut_and_clusters.set_partition.first import first_clusters
from splitopt.solvers.cut_and_clusters.set_partition.pricing import CutPricer

_SWAPS = 200
"""Swaps for every device of the annealing at one cut."""
_PASSES = 200
_SHAKEN = 4
"""Random swaps from which a descent begins anew."""


def solve_own_cuts(
    problem: CutAndClusters, search: Search, max_cells: int, max_listed: int
) -> StopReason:
    """Find partitions, generate columns, and prove the best.

    Raises
    ------
    InfeasibleError
        No partition leaves the devices of every cluster a common cut.
    """
    pricer = CutPricer(problem)
    known = _first_partitions(problem, search)
    search.prove(problem.bound())
    if (reason := search.stop()) is not None:
        return reason
    search.propose(problem.complete(descend(pricer, clusters_of_best(search), search)))
    if (reason := search.stop()) is not None:
        return reason
    every = [*clusters_of_best(search), *(one for clusters in known for one in clusters)]
    return solve_by_columns(pricer, search, every, max_cells, max_listed, OwnCutsProof)


def _first_partitions(problem: CutAndClusters, search: Search) -> list[list[IntArray]]:
    """Propose the best partitions at each common cut, or one that the limits leave.

    Raises
    ------
    InfeasibleError
        There is none.
    """
    found = []
    for cut in problem.common.tolist():
        one = problem.at_cut(cut)
        limit = None if search.time_limit_s is None else search.remaining_s
        inner = Search(one, limit, 0.0, search.seed)
        Anneal(iterations=_SWAPS * one.devices, chains=1).run(one, inner)
        found.append(clusters_of_best(inner))
        search.propose(problem.complete(found[-1]))
    if not found:
        found.append([np.sort(cluster) for cluster in first_clusters(problem)])
        search.propose(problem.complete(found[-1]))
    return found


def descend(pricer: CutPricer, clusters: list[IntArray], search: Search) -> list[IntArray]:
    """Swap two devices of two clusters while that shortens the round; return the clusters.

    A pass prices all swaps and takes those that gain most, of which no two change one cluster.
    """
    seconds = np.array([_seconds(pricer, cluster) for cluster in clusters])
    for _ in range(_PASSES):
        if search.stop() is not None:
            break
        swaps, gains, after = _all_swaps(pricer, clusters, seconds)
        touched: set[int] = set()
        for place in np.argsort(-gains, kind="stable").tolist():
            a, b, i, j = swaps[place].tolist()
            if gains[place] <= 1e-12 * float(seconds.sum()):
                break
            if a in touched or b in touched:
                continue
            touched |= {a, b}
            clusters[a], clusters[b] = _swapped(clusters[a], clusters[b], i, j)
            seconds[[a, b]] = after[place]
        if not touched:
            break
    return clusters


def _seconds(pricer: CutPricer, cluster: IntArray) -> float:
    return float(pricer.seconds(cluster[None])[0])


def _swapped(first: IntArray, second: IntArray, i: int, j: int) -> tuple[IntArray, IntArray]:
    one, other = first.copy(), second.copy()
    one[i], other[j] = second[j], first[i]
    return np.sort(one), np.sort(other)


def _all_swaps(
    pricer: CutPricer, clusters: list[IntArray], seconds: FloatArray
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return all swaps as clusters a, b and places i, j, their gains, and the seconds after them.

    The shapes are (S, 4), (S,) and (S, 2).
    """
    swaps = [
        (a, b, i, j)
        for a in range(len(clusters))
        for b in range(a + 1, len(clusters))
        for i in range(len(clusters[a]))
        for j in range(len(clusters[b]))
    ]
    after = np.empty((len(swaps), 2))
    by_size: dict[int, tuple[list[tuple[int, int]], list[IntArray]]] = {}
    for place, (a, b, i, j) in enumerate(swaps):
        for side, (own, other, out, new) in enumerate(((a, b, i, j), (b, a, j, i))):
            members = clusters[own].copy()
            members[out] = clusters[other][new]
            rows, tables = by_size.setdefault(len(members), ([], []))
            rows.append((place, side))
            tables.append(members)
    for rows, tables in by_size.values():
        at = np.array(rows)
        after[at[:, 0], at[:, 1]] = pricer.seconds(np.array(tables))
    found = np.array(swaps, dtype=np.int64).reshape(-1, 4)
    return found, seconds[found[:, :2]].sum(axis=1) - after.sum(axis=1), after


@dataclass
class OwnCutsProof(Proof):
    """The proof for clusters that have their own cuts."""

    def start_anew(self, seed: int, time_limit_s: float) -> None:  # noqa: ARG002 - swaps stop anyway
        """Swap some devices at random and descend; propose what comes out."""
        pricer, problem = self.pricer, self.pricer.problem
        assert isinstance(pricer, CutPricer)
        rng = np.random.default_rng(seed)
        clusters = clusters_of_best(self.search)
        if len(clusters) == 1:
            return
        for _ in range(_SHAKEN):
            a, b = rng.choice(len(clusters), 2, replace=False).tolist()
            i, j = int(rng.integers(len(clusters[a]))), int(rng.integers(len(clusters[b])))
            clusters[a], clusters[b] = _swapped(clusters[a], clusters[b], i, j)
        found = descend(pricer, clusters, self.search)
        try:
            self.search.propose(problem.complete(found))
        except InfeasibleError:  # a random swap led to devices that share no cut
            return
