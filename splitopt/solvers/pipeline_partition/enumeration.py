"""Every partition there is: the reference for all small tests.

It shares nothing with the dynamic programs: sums of layers are added up directly for every segment,
and every order of every set of nodes meets every placement of the boundaries.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.documents.checks import check_whole
from splitopt.errors import InfeasibleError
from splitopt.latency.pipeline_resources import (
    interface_seconds,
    link_seconds,
    transfer_seconds,
)
from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.pipeline_partition import PipelinePartition, PipelinePartitionDecision
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.options import too_many

_BLOCK = 2**15
"""Placements of boundaries looked at together."""
_TIE = 1e-12
"""Objectives that differ by this little, relatively, differ by rounding: latency decides."""


@dataclass(frozen=True)
class Enumerate(Solver[PipelinePartition]):
    """Try every partition; of several best ones take one with the least latency.

    Parameters
    ----------
    max_partitions
        Refuse a problem that has more partitions than this, and say how many it has.
    """

    name: ClassVar[str] = "enumerate"
    problem: ClassVar[str] = "pipeline_partition"
    objectives: ClassVar[frozenset[str]] = frozenset(PipelinePartition.objectives)
    kind: ClassVar[Kind] = "exact"

    max_partitions: int = 2_000_000

    def __post_init__(self) -> None:
        check_whole("max_partitions", self.max_partitions, 1)

    def refusal(self, problem: PipelinePartition) -> str | None:
        """Reject what would take too long, with the price."""
        count = count_partitions(problem)
        return too_many(count, "partitions", "max_partitions", self.max_partitions)

    def run(self, problem: PipelinePartition, search: Search) -> StopReason:
        """Walk through all chains of nodes and propose the best partition at the end."""
        table = _Segments.of(problem)
        best, decision = (math.inf, math.inf), None
        reason: StopReason | None = None
        try:
            for chain in _chains(problem):
                for ends in _boundaries(problem.layers, len(chain)):
                    found = table.best_of(chain, ends)
                    if found is not None and _better(found[0], best):
                        best, decision = found[0], _decision(chain, ends[found[1]])
                    search.iterations += len(ends)
                # a run without time still answers if its first chain does
                if decision is not None and search.remaining_s <= 0:
                    reason = "time"
                    break
        finally:
            if decision is not None:
                search.propose(decision)
        if reason is not None:
            return search.stop() or reason
        if decision is None:
            raise InfeasibleError(
                f"none of the {count_partitions(problem):,} partitions meets all constraints; "
                "more memory, fewer owners, or idle nodes (use_all_nodes: false) may help"
            )
        search.prove(search.objective)
        return "proved"


def count_partitions(problem: PipelinePartition) -> int:
    """Count the partitions that respect order and use of nodes, feasible or not."""
    arrange = math.comb if problem.order == "given" else math.perm
    return sum(
        math.comb(problem.layers - 1, size - 1) * arrange(problem.nodes, size)
        for size in _sizes(problem)
    )


def _sizes(problem: PipelinePartition) -> range:
    """Return the possible lengths of the chain of nodes."""
    least = problem.nodes if problem.use_all_nodes else 1
    return range(least, min(problem.nodes, problem.layers) + 1)


def _chains(problem: PipelinePartition) -> Iterator[IntArray]:
    arrange = itertools.combinations if problem.order == "given" else itertools.permutations
    for size in _sizes(problem):
        for chain in arrange(range(problem.nodes), size):
            yield np.array(chain, dtype=np.int64)


def _boundaries(layers: int, size: int) -> Iterator[IntArray]:
    """Return all boundaries of a chain of `size` nodes in blocks of shape (K, size + 1)."""
    inner = itertools.combinations(range(1, layers), size - 1)
    while block := list(itertools.islice(inner, _BLOCK)):
        ends = np.zeros((len(block), size + 1), dtype=np.int64)
        ends[:, 1:-1] = np.array(block, dtype=np.int64).reshape(len(block), size - 1)
        ends[:, -1] = layers
        yield ends


def _better(found: tuple[float, float], best: tuple[float, float]) -> bool:
    """Whether (objective, latency) is better, objective first."""
    tie = _TIE * abs(best[0]) if math.isfinite(best[0]) else 0.0
    if abs(found[0] - best[0]) <= tie:
        return found[1] < best[1]
    return found[0] < best[0]


def _decision(chain: IntArray, ends: IntArray) -> PipelinePartitionDecision:
    return PipelinePartitionDecision.of_chain(chain, ends)


@dataclass(frozen=True)
class _Segments:
    """Sums over all segments: entry [i, a, b] is node i's for the layers a to b - 1."""

    problem: PipelinePartition
    forward: FloatArray
    backward: FloatArray
    fits: BoolArray

    @classmethod
    def of(cls, problem: PipelinePartition) -> _Segments:
        memory = problem.owners * _sums(problem.layer_memory_bytes[None])
        fits = memory <= problem.capacity_bytes[:, None, None]
        return cls(problem, _sums(problem.forward_s), _sums(problem.backward_s), fits)

    def best_of(self, chain: IntArray, ends: IntArray) -> tuple[tuple[float, float], int] | None:
        """Return objective, latency and row of the best of the boundaries (K, M + 1), if any."""
        problem, links = self.problem, self.problem.links
        place = chain, ends[:, :-1], ends[:, 1:]
        fits = self.fits[place].all(axis=1)
        if not fits.any():
            return None
        forward, backward = self.forward[place], self.backward[place]
        up_bytes, down_bytes = problem.cut_up_bytes[ends], problem.cut_down_bytes[ends]
        left, right = chain[:-1], chain[1:]
        up = transfer_seconds(up_bytes[:, 1:-1], links.rates[left, right])
        down = transfer_seconds(down_bytes[:, 1:-1], links.rates[right, left])
        delays = links.delays_s[left, right].sum() + links.delays_s[right, left].sum()
        period = forward + backward
        if (rates := links.interface_rates) is not None:
            busy = interface_seconds(up_bytes, down_bytes, rates[chain], links.duplex)
            period = period + busy if links.model == "serial" else np.maximum(period, busy)
        elif not links.costs_nothing:
            busy = link_seconds(up, down, links.duplex)
            period = np.concatenate((period, busy), axis=1)
        latency = (forward + backward).sum(axis=1) + (up + down).sum(axis=1) + delays
        value = self._objective(chain, forward, backward, period.max(axis=1), latency)
        latency = latency + problem.owner_transfers_s
        value = np.where(fits, value, np.inf)
        least = float(value.min())
        if not math.isfinite(least):
            return None
        tied = np.flatnonzero(value <= least + _TIE * abs(least))
        row = int(tied[latency[tied].argmin()])
        return (float(value[row]), float(latency[row])), row

    def _objective(
        self,
        chain: IntArray,
        forward: FloatArray,
        backward: FloatArray,
        period: FloatArray,
        trip: FloatArray,
    ) -> FloatArray:
        """Shape (K,), from the trips over nodes and links."""
        problem = self.problem
        if problem.objective == "paper":
            return np.asarray(forward.max(axis=1) + backward.max(axis=1))
        if problem.objective == "epoch":
            assert problem.batches is not None
            return trip + problem.owner_transfers_s + (problem.batches - 1) * period
        if problem.objective == "round":
            assert problem.owner_groups is not None
            own = problem.own_s(int(chain[0]), int(chain[-1]))
            return np.asarray(problem.owner_groups.round_time(own, trip, period))
        return period


def _sums(table: FloatArray) -> FloatArray:
    """Shape (N, S + 1, S + 1) from (N, S): each segment added up from its first layer on."""
    nodes, layers = table.shape
    found = np.zeros((nodes, layers + 1, layers + 1))
    for start in range(layers):
        found[:, start, start + 1 :] = np.cumsum(table[:, start:], axis=1)
    return found
