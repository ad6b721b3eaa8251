"""Fleets of few types inside `set_partition`: their program, its proof, and swaps beyond it."""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import IntArray
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum
from splitopt.problems.cluster_and_spectrum.decision import clusters_of
from splitopt.solvers.backends.integer_program import Answer
from splitopt.solvers.base import Search
from splitopt.solvers.cluster_and_spectrum.annealing import allowances, default_iterations
from splitopt.solvers.cluster_and_spectrum.set_partition.compositions import Compositions
from splitopt.solvers.cluster_and_spectrum.set_partition.types import Types
from splitopt.solvers.cluster_and_spectrum.swaps import CHUNK, Swaps, by_capability, starts_of

_FEW = 150
"""Compositions of the first program, where there are more."""
_SHORT = 0.2
"""Share of the time that it gets."""


def propose_sorted(problem: ClusterAndSpectrum, search: Search) -> None:
    """Propose the sort by capability, so that there is a plan from the start."""
    search.prove(problem.bound())
    search.propose(problem.complete(clusters_of(by_capability(problem), starts_of(problem))))


def solve_fleet(
    problem: ClusterAndSpectrum, types: Types, search: Search, time_limit_s: float
) -> None:
    """Propose the best partition of the types into compositions, and prove what it proves.

    Types of equal devices are proved to the optimum where HiGHS ends; near ones to a gap of about
    their spread. The prices of the relaxation are left in ``details``: they prove its bound anew.
    """
    end = search.elapsed_s + time_limit_s
    fleet = Compositions(problem, types)
    search.details |= {"types": len(types.counts), "compositions": len(fleet.table)}
    prices = fleet.relaxed(end - search.elapsed_s)
    if prices is not None:
        search.details["prices"] = prices[types.of].tolist()
        search.prove(fleet.bound(prices))
    if search.stop() is not None or (left := end - search.elapsed_s) <= 0:
        return
    if prices is not None and len(fleet.table) > _FEW:
        # The optimum is made of compositions with small reduced costs; a few of them may do.
        slack = float(np.sort(fleet.excess(prices))[_FEW])
        _propose(
            fleet, fleet.whole(min(left, _SHORT * left + 1), search.seed, (prices, slack)), search
        )
        left = end - search.elapsed_s
    if types.spread > 0 and len(fleet.table) > _FEW:
        return  # the corners prove no more than their spread: their relaxation is near enough
    if search.stop() is None and left > 0:
        answer = fleet.whole(left, search.seed)
        _propose(fleet, answer, search)
        server_s = problem.local_epochs * problem.devices * problem.server_s_per_device
        search.prove(answer.bound + server_s)


def _propose(fleet: Compositions, answer: Answer, search: Search) -> None:
    """Propose what the program found, dealt to the devices."""
    if answer.values is None:
        return
    times = np.rint(answer.values).astype(np.int64)
    if (times @ fleet.table == fleet.types.counts).all():
        search.propose(fleet.problem.complete(fleet.dealt(times)))


def swap_on(problem: ClusterAndSpectrum, search: Search, heat: float = 2e-4) -> None:
    """Improve the incumbent by swaps from its own temperature down, to the limit of time.

    Without a limit it is as many swaps as `anneal` would take.

    Parameters
    ----------
    heat
        The first temperature, as a fraction of the mean seconds of a cluster.
    """
    best = search.best
    if best is None or len(problem.cluster_sizes) == 1:
        return
    members: IntArray = np.concatenate(_by_place(problem, best.clusters))  # type: ignore[attr-defined]
    state, done = Swaps(problem, members), 0
    unit, begin = state.least / len(problem.cluster_sizes), search.elapsed_s
    total, limit_s = default_iterations(problem.devices), search.time_limit_s
    while search.stop() is None and (limit_s is not None or done < total):
        passed = done / total
        if limit_s is not None:
            passed = (search.elapsed_s - begin) / max(limit_s - begin, 1e-9)
        warm = unit * heat * (1 - min(passed, 1.0)) ** 2 + 1e-300
        state.advance(search.rng, allowances(search.rng.random(CHUNK), np.full(CHUNK, warm)))
        done += CHUNK
        search.iterations += CHUNK
        if state.least < search.objective * (1 - 1e-12):
            search.propose(state.decision(best=True))


def _by_place(problem: ClusterAndSpectrum, clusters: tuple[IntArray, ...]) -> list[IntArray]:
    """Order clusters as the sizes of the problem are."""
    waiting: dict[int, list[IntArray]] = {}
    for cluster in clusters:
        waiting.setdefault(len(cluster), []).append(cluster)
    return [waiting[size].pop() for size in problem.cluster_sizes.tolist()]
