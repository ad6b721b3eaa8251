"""The cheapest partition into clusters of a pool: what is ruled out, and what is searched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.compiling import plain
from splitopt.solvers.cluster_and_spectrum.set_partition.cover_loops import (
    WORD,
    CoverPath,
    Covers,
    search_covers,
)
from splitopt.solvers.cluster_and_spectrum.set_partition.pricing import Pricer

_STEPS = 2_000_000
"""Clusters that are looked at between two looks at the clock."""


@dataclass(frozen=True)
class Searched:
    """What a search found: better clusters if any, and whether it was complete."""

    clusters: list[IntArray] | None
    complete: bool
    steps: int


class CoverSearch:
    """Clusters with what each adds to a bound, in the order in which covers are built.

    Parameters
    ----------
    pricer
        The problem.
    members, seconds, excess
        For every size the clusters, shape (F, K), their seconds, and their reduced costs less the
        least one of their size, all at the same prices.
    bound
        What these prices prove of partitions into these clusters, in s.
    """

    def __init__(
        self,
        pricer: Pricer,
        members: list[IntArray],
        seconds: list[FloatArray],
        excess: list[FloatArray],
        bound: float,
    ) -> None:
        self.pricer, devices = pricer, pricer.problem.devices
        sizes = list(pricer.count_of)
        self.members = [np.asarray(table, dtype=np.int64) for table in members]
        flat = np.concatenate([table.ravel() for table in self.members])
        lengths = np.concatenate([np.full(len(table), table.shape[1]) for table in self.members])
        costs, owner = np.concatenate(excess), np.repeat(np.arange(len(lengths)), lengths)
        held = np.bincount(flat, minlength=devices)
        self.coverable = bool((held > 0).all())
        if not self.coverable:
            return
        rank = np.empty(
            devices, dtype=np.int64
        )  # first by the device that the fewest clusters hold
        rank[np.argsort(held, kind="stable")] = np.arange(devices)
        # what a device costs at least in any cover is taken out of the costs: a better bound
        share = np.full(devices, np.inf)
        np.minimum.at(share, flat, (costs / lengths)[owner])
        costs = np.maximum(costs - np.bincount(owner, share[flat]), 0.0)
        words = (devices + WORD - 1) // WORD
        masks = np.zeros((len(lengths), words), dtype=np.int64)
        np.bitwise_or.at(masks, (owner, rank[flat] // WORD), np.int64(1) << rank[flat] % WORD)
        full = np.zeros(words, dtype=np.int64)
        np.bitwise_or.at(full, rank // WORD, np.int64(1) << rank % WORD)
        lowest = np.full(len(lengths), devices)
        np.minimum.at(lowest, owner, rank[flat])
        kind = np.repeat(np.arange(len(sizes)), [len(table) for table in self.members])
        self.order = np.lexsort((costs, lowest))
        begin = np.searchsorted(lowest[self.order], np.arange(devices + 1)).astype(np.int64)
        self.base = bound + float(share.sum())
        self.share_s = float(share.sum())
        self.table = Covers(
            np.ascontiguousarray(masks[self.order]),
            full,
            np.ascontiguousarray(costs[self.order]),
            np.concatenate(seconds)[self.order],
            kind[self.order],
            begin,
            self.base - pricer.server_s,
        )

    def search(
        self, budget: float, reached: float, most_steps: int, stop: Callable[[], bool]
    ) -> Searched:
        """Search all covers that may take less than the bound plus a budget, and than `reached`.

        Parameters
        ----------
        budget, reached
            In s, with rounding added to the budget.
        most_steps
            Give up after so many clusters were looked at.
        """
        if not self.coverable:
            return Searched(None, True, 0)
        devices, words = self.pricer.problem.devices, self.table.masks.shape[1]
        path = CoverPath(
            np.zeros(devices + 1, np.int64),
            np.zeros(devices + 1, np.int64),
            np.zeros((devices + 2, words), np.int64),
            np.zeros(devices + 1),
            np.zeros(devices + 1),
            np.array(list(self.pricer.count_of.values()), dtype=np.int64),
            np.zeros(devices + 1, np.int64),
        )
        path.end[0] = self.table.begin[1]
        run = plain(search_covers) if self.pricer.problem.is_small else search_covers
        depth, limit, best, steps = 0, budget - self.share_s, None, 0
        takes = reached - self.pricer.server_s
        while depth >= 0 and steps < most_steps:
            if stop():
                break
            depth, limit, takes, count = run(self.table, path, depth, limit, takes, _STEPS)
            steps += _STEPS
            if count:
                best = [self._cluster(place) for place in path.best[:count]]
        return Searched(best, depth < 0, steps)

    def _cluster(self, place: int) -> IntArray:
        """Return the members of the cluster at a place of the table."""
        left = int(self.order[place])
        for table in self.members:
            if left < len(table):
                return np.sort(table[left])
            left -= len(table)
        raise AssertionError
