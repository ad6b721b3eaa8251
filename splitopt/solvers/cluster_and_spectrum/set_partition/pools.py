"""Pools: all clusters that can be in a partition below a ceiling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.compiling import plain
from splitopt.solvers.cluster_and_spectrum.set_partition.pool_loops import (
    ListRequest,
    Path,
    list_cheap,
    reduce_all,
    room_for,
)
from splitopt.solvers.cluster_and_spectrum.set_partition.pricing import Pricer
from splitopt.solvers.cluster_and_spectrum.set_partition.triples import PricedCuts

_ALLOCATIONS = 200_000
"""Clusters that are priced between two looks at the clock."""
_FIRST_ROOM = 50_000


@dataclass(frozen=True, eq=False)
class Pool:
    """Clusters of every size, one entry of each list for each size.

    Parameters
    ----------
    pricer
        The problem.
    members, seconds
        Shapes (F, K) and (F,).
    ceiling
        Every partition with a cluster that is not in the pool takes at least this, in s.
    """

    pricer: Pricer
    members: list[IntArray]
    seconds: list[FloatArray]
    ceiling: float

    def __len__(self) -> int:
        return sum(map(len, self.seconds))

    def reduced(self, cuts: PricedCuts) -> list[FloatArray]:
        """Return the reduced costs of all clusters."""
        run = plain(reduce_all) if self.pricer.problem.is_small else reduce_all
        found = []
        for members, seconds in zip(self.members, self.seconds, strict=True):
            reduced = np.empty(len(seconds))
            run(members, seconds, cuts.prices, cuts.terms, reduced)
            found.append(reduced)
        return found

    def bound(self, cuts: PricedCuts, reduced: list[FloatArray]) -> float:
        """Return the bound on partitions into these clusters, infinite if there can be none."""
        if not all(map(len, reduced)):
            return float(np.inf)
        least = [float(part.min()) for part in reduced]
        return self.pricer.lagrangian(
            cuts.prices, dict(zip(self.pricer.count_of, least, strict=True)), cuts.sigma
        )

    def below(self, reduced: list[FloatArray], slack: float) -> Pool:
        """Return the clusters whose reduced costs are within `slack` of the least of their size."""
        kept = [np.flatnonzero(part <= part.min(initial=np.inf) + slack) for part in reduced]
        return replace(
            self,
            members=[table[rows] for table, rows in zip(self.members, kept, strict=True)],
            seconds=[part[rows] for part, rows in zip(self.seconds, kept, strict=True)],
        )


def list_pool(
    pricer: Pricer,
    cuts: PricedCuts,
    limits: dict[int, float],
    max_listed: int,
    stop: Callable[[], bool],
) -> tuple[Pool, float] | None:
    """List all clusters with reduced costs below a limit; None if there are too many or no time.

    Parameters
    ----------
    limits
        Size -> the limit in s.
    max_listed
        Of one size.

    Returns
    -------
    The pool, and the bound in s that the prices and cuts prove of all partitions. Both stand on
    all clusters: those that are not listed have at least the limit.
    """
    members, seconds, least = [], [], {}
    for size, limit in limits.items():
        listed = _list_size(pricer, cuts, size, limit, max_listed, stop)
        if listed is None:
            return None
        members.append(listed[0])
        seconds.append(listed[1])
    pool = Pool(pricer, members, seconds, np.inf)
    for (size, limit), part in zip(limits.items(), pool.reduced(cuts), strict=True):
        least[size] = float(part.min(initial=limit))
    bound = pricer.lagrangian(cuts.prices, least, cuts.sigma)
    # One unlisted cluster of size K makes a partition at least limit - least above the bound.
    ceiling = bound + min(limits[size] - least[size] for size in limits)
    return replace(pool, ceiling=ceiling), bound


def _list_size(
    pricer: Pricer,
    cuts: PricedCuts,
    size: int,
    limit: float,
    max_listed: int,
    stop: Callable[[], bool],
) -> tuple[IntArray, FloatArray] | None:
    """List the clusters of one size and their seconds, whatever round they are formed in."""
    found: list[tuple[IntArray, FloatArray]] = []
    for part, added in pricer.parts:
        prices = cuts.prices if added is None else cuts.prices - added
        listed = _list_part(part, prices, cuts, size, limit, max_listed, stop)
        if listed is None:
            return None
        found.append(listed)
    if len(found) == 1:
        return found[0]
    every = np.unique(np.sort(np.concatenate([one for one, _ in found]), axis=1), axis=0)
    if len(every) > max_listed:
        return None
    return every, pricer.seconds(every) if len(every) else np.empty(0)


def _list_part(
    pricer: Pricer,
    own_prices: FloatArray,
    cuts: PricedCuts,
    size: int,
    limit: float,
    max_listed: int,
    stop: Callable[[], bool],
) -> tuple[IntArray, FloatArray] | None:
    """List the clusters of one size in one round, at prices of its own beside the cuts."""
    order = np.argsort(-own_prices, kind="stable")
    prices = own_prices[order]
    sums = np.concatenate(([0.0], np.cumsum(prices)))
    problem = pricer.round
    request = ListRequest(
        pricer.terms,
        order,
        prices,
        sums,
        cuts.terms,
        float(limit),
        problem.subcarriers,
        problem.inner_phases,
    )
    path = Path(np.zeros(size, np.int64), *(np.zeros(size + 1) for _ in range(3)))
    room, most = room_for(size, problem.subcarriers), min(_FIRST_ROOM, max_listed)
    found: Any = np.empty((most, size), np.int32)  # half the memory of whole numbers elsewhere
    seconds = np.empty(most)
    run, depth, count = plain(list_cheap) if problem.is_small else list_cheap, 0, 0
    while depth >= 0:
        if stop():
            return None
        depth, count, _ = run(request, path, room, depth, _ALLOCATIONS, count, found, seconds)
        if count == len(found) and depth >= 0:
            if count == max_listed:
                return None
            most = min(2 * len(found), max_listed)
            wider, longer = np.empty((most, size), np.int32), np.empty(most)
            wider[:count], longer[:count] = found, seconds
            found, seconds = wider, longer
    return found[:count].copy(), seconds[:count].copy()
