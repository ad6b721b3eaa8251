"""Objectives that rise in both the latency and the period of a chain: a walk along their frontier.

A `Goal` knows the value of a pair (latency, period). What owners add to a round can depend on the
nodes at the ends of a chain, whose interfaces may be slower than the owners' links: then there is
one goal for each pair of ends that differ, with the chains that have these ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from splitopt.latency.pipeline import epoch_time
from splitopt.problems.base import FloatArray
from splitopt.problems.pipeline_partition import OwnerGroups, PipelinePartition
from splitopt.solvers.pipeline_partition.chains.search import ChainSearch


class Goal(Protocol):
    """A value in s that does not fall in latency and period, both in s and without owners."""

    def value(self, latency_s: float, period_s: float) -> float:
        """Return the objective of a chain."""

    def cap(self, value: float, latency_s: float) -> float:
        """Return a period above which a chain of at least this latency is worse than a value."""


@dataclass(frozen=True)
class EpochGoal:
    """Latency with the owners' transfers + (batches - 1) x period."""

    batches: int
    owners_s: float

    def value(self, latency_s: float, period_s: float) -> float:
        """Return the epoch."""
        return float(epoch_time(latency_s + self.owners_s, period_s, self.batches))

    def cap(self, value: float, latency_s: float) -> float:
        """Solve the epoch for the period."""
        others = self.batches - 1
        return (value - self.owners_s - latency_s) / others if others else math.inf


@dataclass(frozen=True, eq=False)
class RoundGoal:
    """A round of the owners, of whom each adds `own_s`, shape (G,), to a trip."""

    owners: OwnerGroups
    own_s: FloatArray

    def value(self, latency_s: float, period_s: float) -> float:
        """Return the round."""
        return float(self.owners.round_time(self.own_s, latency_s, period_s))

    def cap(self, value: float, latency_s: float) -> float:
        """Solve the round of a full pipeline for the period.

        A round is never less than that. With channels that are busier than the result, every
        period of the chain is too long.
        """
        others = self.owners.all_batches - 1
        mean = float(np.average(self.own_s, weights=self.owners.count))
        left = value - self.owners.aggregation_s - mean - latency_s
        return left / others if others else math.inf


def goals_of(problem: PipelinePartition, chains: ChainSearch) -> list[tuple[ChainSearch, Goal]]:
    """List the goals of a problem, each with the chains that it is about."""
    if problem.objective == "epoch":
        assert problem.batches is not None  # the problem saw to it
        return [(chains, EpochGoal(problem.batches, problem.owner_transfers_s))]
    owners = problem.owner_groups
    assert owners is not None  # the problem saw to it
    if not problem.links.has_interfaces:
        return [(chains, RoundGoal(owners, problem.own_s(0, 0)))]
    nodes = chains.class_nodes
    own = np.array([[problem.own_s(a, z) for z in nodes] for a in nodes])  # (K, K, G)
    firsts, lasts = _alike(own), _alike(own.swapaxes(0, 1))
    if len(firsts) == len(lasts) == 1:
        return [(chains, RoundGoal(owners, own[0, 0]))]
    return [
        (chains.with_ends(first, last), RoundGoal(owners, own[first[0], last[0]]))
        for first in firsts
        for last in lasts
    ]


def _alike(own: FloatArray) -> list[list[int]]:
    """Group the link classes (first axis) that add the same to every trip."""
    groups: dict[bytes, list[int]] = {}
    for number, table in enumerate(own):
        groups.setdefault(np.ascontiguousarray(table).tobytes(), []).append(number)
    return list(groups.values())
