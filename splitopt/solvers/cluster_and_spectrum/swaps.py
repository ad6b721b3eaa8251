"""A partition that is improved by swaps: its state, its random moves, and first partitions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cluster_and_spectrum import (
    ClusterAndSpectrum,
    ClusterAndSpectrumDecision,
    loops,
)
from splitopt.problems.cluster_and_spectrum.decision import clusters_of
from splitopt.problems.cluster_and_spectrum.subcarriers import RULES, allocate_flat
from splitopt.problems.compiling import plain, plain_with

CHUNK = 4096
"""Swaps between two looks at the clock; the random numbers are drawn in these portions."""


@dataclass
class Swaps:
    """The members of all clusters, cluster after cluster, and the best that was visited.

    Parameters
    ----------
    problem
        What is asked; it has at least two clusters.
    members
        Shape (N,): the first partition.
    rule
        How subcarriers are shared, one of `subcarriers.RULES`.
    naive
        Price all clusters in every iteration, not only the two that change.
    """

    problem: ClusterAndSpectrum
    members: IntArray
    rule: str = "exact"
    naive: bool = False

    def __post_init__(self) -> None:
        self.members = np.array(self.members, dtype=np.int64)
        self.starts = starts_of(self.problem)
        self.costs = allocate_flat(
            self.problem.terms,
            self.members,
            self.starts,
            subcarriers=self.problem.subcarriers,
            local_epochs=self.problem.local_epochs,
            server_s_per_device=self.problem.server_s_per_device,
            rule=self.rule,
            small=self.problem.is_small,
        ).seconds.copy()
        self.best = self.members.copy()
        self.least = float(self.costs.sum())

    def advance(self, rng: np.random.Generator, allowances: FloatArray) -> None:
        """Try as many random swaps as there are allowances, in s; see `swap_loops.swap_many`."""
        from splitopt.solvers.cluster_and_spectrum.swap_loops import Partition, Trials

        problem = self.problem
        self.least = self._swap_many(
            loops.Sharing(
                RULES[self.rule],
                problem.subcarriers,
                problem.inner_phases,
                problem.server_s_per_device,
            ),
            self.naive,
            problem.terms,
            Partition(self.starts, self.members, self.costs, self.best),
            Trials(random_moves(rng, self.starts, len(allowances)), allowances),
            self.least,
        )

    @cached_property
    def _swap_many(self) -> Callable[..., float]:
        """The loop of swaps: machine code, or where few clusters differ, Python that keeps them."""
        from splitopt.solvers.cluster_and_spectrum.swap_loops import swap_many

        if not self.problem.is_small:
            return swap_many
        return plain_with(swap_many, allocate=_each_cluster_once())

    def decision(self, best: bool) -> ClusterAndSpectrumDecision:
        """Return the best visited state, or the current one, with its subcarriers."""
        members = self.best if best else self.members
        return self.problem.complete(clusters_of(members, self.starts), self.rule)


def _each_cluster_once() -> Callable[..., float]:
    """Return `loops.allocate` with a memory of the seconds, which leaves the shares unwritten."""
    allocate, known = plain(loops.allocate), dict[bytes, float]()

    def seconds(rule: int, cluster: FloatArray, *rest: Any) -> float:
        key = cluster.tobytes()  # its length tells how many devices it has
        if key not in known:
            known[key] = allocate(rule, cluster, *rest)
        return known[key]

    return seconds


def eight_devices() -> ClusterAndSpectrum:
    """Return a small problem whose loops are compiled, to load them with."""
    seconds = np.arange(1.0, 9.0)
    return ClusterAndSpectrum(
        broadcast_s=seconds,
        forward_s=seconds,
        backward_s=seconds,
        upload_smashed_s=seconds,
        download_gradient_s=seconds,
        upload_model_s=seconds,
        server_s_per_device=0.0,
        local_epochs=1,
        subcarriers=4,
        cluster_sizes=np.array([2, 2, 2, 2]),
    )


@cache
def load_swaps(subcarriers: str = "exact") -> None:
    """Call the loop of swaps once, by a rule of sharing, so that no run has to compile it."""
    problem = eight_devices()
    Swaps(problem, by_capability(problem), subcarriers).advance(
        np.random.default_rng(0), np.zeros(2)
    )


def starts_of(problem: ClusterAndSpectrum) -> IntArray:
    """Shape (M + 1,): where each cluster begins among the members, and the end."""
    return np.concatenate(([0], np.cumsum(problem.cluster_sizes))).astype(np.int64)


def random_moves(rng: np.random.Generator, starts: IntArray, count: int) -> IntArray:
    """Draw two different clusters and a member of each: shape (count, 4), see `swap_many`."""
    clusters = len(starts) - 1
    first = rng.integers(clusters, size=count)
    second = (first + rng.integers(1, clusters, size=count)) % clusters
    sizes = np.diff(starts)
    places = rng.random((2, count))
    p = starts[first] + (places[0] * sizes[first]).astype(np.int64)
    q = starts[second] + (places[1] * sizes[second]).astype(np.int64)
    return np.stack((first, second, p, q), axis=1)


def by_capability(problem: ClusterAndSpectrum) -> IntArray:
    """Shape (N,): the devices from the fastest to compute to the slowest."""
    return np.argsort(problem.forward_s + problem.backward_s, kind="stable").astype(np.int64)


def in_portions(total: int, most: int | None = None) -> Callable[[], int]:
    """Return a function that hands out `total` in portions of at most `most`, then 0."""
    left, largest = total, CHUNK if most is None else most

    def portion() -> int:
        nonlocal left
        size = min(largest, left)
        left -= size
        return size

    return portion
