"""The relaxation over a pool with cuts on triples, priced by passing over the pool."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splitopt.problems.base import IntArray
from splitopt.solvers.base import Search
from splitopt.solvers.cluster_and_spectrum.set_partition.columns import Columns, Master
from splitopt.solvers.cluster_and_spectrum.set_partition.pools import Pool
from splitopt.solvers.cluster_and_spectrum.set_partition.triples import PricedCuts, violated

ROUNDING = 1e-10
"""How far, relatively, clusters beyond a limit are kept as well, so that no tie is lost."""
_FIRST, _MORE = 1_500, 300
"""Clusters of a size that the program begins with, and that a pass over the pool adds."""
_ROUNDS = 14
_DEEPEST, _PER_DEVICE = 100, 8
_STALL = 0.02
"""Rounds that close less than this share of the gap are not worth another one."""
_TIE = 1e-9


@dataclass(frozen=True, eq=False)
class Tightened:
    """What the cuts achieved: the clusters that are left, and what they are bounded by.

    Parameters
    ----------
    pool
        The clusters that may be in a partition below what is reached and the ceiling.
    cuts, bound
        Prices and cuts, and the bound in s that they prove for partitions into the pool.
    """

    pool: Pool
    cuts: PricedCuts
    bound: float


def tighten(
    pool: Pool, cuts: PricedCuts, known: list[IntArray], unit_s: float, search: Search, end_s: float
) -> Tightened:
    """Add cuts round by round, and drop the clusters that the better bound rules out.

    Parameters
    ----------
    cuts
        Prices and cuts to begin with.
    known
        The clusters of a partition, so that the program has a solution.
    end_s
        When to end, in s of the search's clock.
    """
    pricer = pool.pricer
    best, reduced = cuts, pool.reduced(cuts)
    bound = pool.bound(best, reduced)
    columns = Columns(pricer)
    columns.add(known)
    for members, part in zip(pool.members, reduced, strict=True):
        first = np.argsort(part, kind="stable")[:_FIRST]
        columns.add(np.sort(members[first].astype(np.int64), axis=1))
    master = Master(pricer, columns, unit_s)
    master.add_cuts([(int(i), int(j), int(k)) for i, j, k in cuts.triples])
    gains: list[float] = []
    for _ in range(_ROUNDS):
        before = bound
        while search.stop() is None and search.elapsed_s < end_s:
            priced = _price(pool, master, end_s - search.elapsed_s)
            if priced is None:
                return Tightened(pool, best, bound)
            trial, value, new = priced
            if value > bound:
                best, bound = trial, value
            search.prove(min(bound, pool.ceiling))
            if not new:
                break
        goal = search.objective
        if search.stop() is not None or search.elapsed_s >= end_s:
            break
        if bound >= min(goal, pool.ceiling):  # beyond it they prove nothing
            break
        pool = pool.below(pool.reduced(best), goal - bound + ROUNDING * abs(goal))
        gains.append((bound - before) / (goal - bound))
        if len(gains) > 3 and max(gains[-3:]) < _STALL:
            break
        weights, devices = master.weights(), pricer.problem.devices
        held = np.flatnonzero(weights > 1e-9)
        master.keep_cuts(np.flatnonzero(master.cut_prices() > 0))
        clusters = [columns.clusters[place] for place in held]
        broken = violated(clusters, weights[held], devices, set(master.cuts), _DEEPEST, _PER_DEVICE)
        if not broken:
            break
        master.add_cuts(broken)
    return Tightened(pool, best, bound)


def _price(
    pool: Pool, master: Master, time_limit_s: float
) -> tuple[PricedCuts, float, bool] | None:
    """Solve the program; return its prices, the bound they prove, and whether clusters came."""
    solved = master.solve(max(time_limit_s, 0.0))
    if solved is None:
        return None
    duals, sigma = solved[1], master.cut_prices()
    active = np.flatnonzero(sigma > 0)
    triples = np.array(master.cuts, dtype=np.int64).reshape(-1, 3)[active]
    trial = PricedCuts(duals.device, triples, sigma[active])
    reduced, new = pool.reduced(trial), 0
    tie = _TIE * master.unit_s
    for members, part, price in zip(pool.members, reduced, duals.size.values(), strict=True):
        cheap = np.flatnonzero(part < price - tie)
        if len(cheap) > _MORE:
            cheap = cheap[np.argpartition(part[cheap], _MORE)[:_MORE]]
        new += len(master.columns.add(np.sort(members[cheap].astype(np.int64), axis=1)))
    if new:
        master.extend()
    return trial, pool.bound(trial, reduced), bool(new)
