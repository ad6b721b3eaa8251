"""Subset-row cuts on triples of devices, and bounds that prices and cuts prove together.

A partition has at most one cluster with two or more of any three devices, so that for a triple t
the clusters that hold at least two of it may be taken once in all (Jepsen, Petersen, Spoorendonk
and Pisinger, "Subset-row inequalities applied to the vehicle-routing problem with time windows",
2008). With prices y of the devices and sigma_t >= 0 of the cuts, a cluster's reduced cost is

    r(A) = seconds(A) - sum_{n in A} y_n + sum_{t : |A and t| >= 2} sigma_t

and every partition takes at least ``sum y - sum sigma + sum_K M_K min {r(A) : |A| = K}``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.solvers.cluster_and_spectrum.set_partition.pool_loops import CutTerms

_DEEP = 1e-4
"""A cut that is violated by less is not worth a row."""


@dataclass(frozen=True, eq=False)
class PricedCuts:
    """Prices of devices and cuts of triples, one frozen copy that belongs together.

    Parameters
    ----------
    prices
        Shape (N,), in s.
    triples
        Shape (Q, 3): devices, rising.
    sigma
        Shape (Q,), in s, each above 0.
    """

    prices: FloatArray
    triples: IntArray
    sigma: FloatArray

    def __post_init__(self) -> None:
        for name in ("prices", "triples", "sigma"):
            kept = np.array(getattr(self, name))
            kept.setflags(write=False)
            object.__setattr__(self, name, kept)

    @cached_property
    def terms(self) -> CutTerms:
        """What the loops look up of the cuts."""
        return cut_terms(len(self.prices), self.triples, self.sigma)


class _Entry(NamedTuple):
    """A cut as one of its pairs sees it."""

    pair: int
    third: int
    sigma: float


def cut_terms(devices: int, triples: IntArray, sigma: FloatArray) -> CutTerms:
    """Return pair terms and, for each pair, the third devices of its cuts.

    The penalty of a cluster is the sum of the terms of its pairs, less twice sigma of each triple
    that is inside it: such a triple has three pairs there and counts once.
    """
    pairs = np.zeros((devices, devices))
    entries: list[_Entry] = []
    for triple, worth in zip(triples.tolist(), sigma.tolist(), strict=True):
        for place in range(3):
            third = triple[place]
            p, q = (device for device in triple if device != third)
            pairs[p, q] += worth
            pairs[q, p] += worth
            entries += [
                _Entry(p * devices + q, third, worth),
                _Entry(q * devices + p, third, worth),
            ]
    entries.sort()
    starts = np.searchsorted([entry.pair for entry in entries], np.arange(devices**2 + 1))
    return CutTerms(
        pairs,
        starts.astype(np.int64),
        np.array([entry.third for entry in entries], dtype=np.int64),
        np.array([entry.sigma for entry in entries], dtype=np.float64),
    )


def violated(
    clusters: list[IntArray],
    weights: FloatArray,
    devices: int,
    known: set[tuple[int, int, int]],
    most: int,
    per_device: int,
) -> list[tuple[int, int, int]]:
    """Return the cuts that a solution of the relaxation breaks most, not many of one device.

    Complete: with P_ij the weight of clusters that hold i and j, and T_ijk of those that hold all
    three, the clusters with at least two of i, j, k weigh P_ij + P_ik + P_jk - 2 T_ijk.
    """
    pairs = np.zeros((devices, devices))
    inside: Counter[tuple[int, int, int]] = Counter()
    for members, weight in zip(clusters, weights.tolist(), strict=True):
        pairs[np.ix_(members, members)] += weight
        rising = sorted(members.tolist())
        for a, i in enumerate(rising):
            for b in range(a + 1, len(rising)):
                for k in rising[b + 1 :]:
                    inside[i, rising[b], k] += weight
    found: list[tuple[float, tuple[int, int, int]]] = []
    for i in range(devices - 2):
        row, rest = pairs[i, i + 1 :], pairs[i + 1 :, i + 1 :]
        weight = row[:, None] + row[None, :] + rest - 1
        first, second = np.nonzero(np.triu(weight > _DEEP, 1))
        for j, k in zip(first.tolist(), second.tolist(), strict=True):
            triple = (i, i + 1 + j, i + 1 + k)
            if triple in known:
                continue
            depth = float(weight[j, k]) - 2 * inside.get(triple, 0.0)
            if depth > _DEEP:
                found.append((-depth, triple))
    taken: list[tuple[int, int, int]] = []
    often: Counter[int] = Counter()
    for _, triple in sorted(found):
        if len(taken) < most and all(often[device] < per_device for device in triple):
            taken.append(triple)
            often.update(triple)
    return taken
