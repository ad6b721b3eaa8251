"""The rule that MP-SL compares its optimizer with: everybody about the same (section 6.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.problems.base import FloatArray
from splitopt.problems.pipeline_partition import PipelinePartition, PipelinePartitionDecision
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver


@dataclass(frozen=True)
class Manual(Solver[PipelinePartition]):
    """Split by hand: node after node takes layers up to an even share of the computing time.

    The paper's share is the total time over N, for nodes that are alike. For others it is the time
    in which all of them together would do the work if it could be split anywhere: 1 / sum_i(1 /
    time of all layers on node i), which is the same where they are alike. The rule knows neither
    links nor the order that would be best. A node stops where its memory is full, and takes more
    than its share where the memory of the nodes behind it asks for that.
    """

    name: ClassVar[str] = "manual"
    problem: ClassVar[str] = "pipeline_partition"
    objectives: ClassVar[frozenset[str]] = frozenset(PipelinePartition.objectives)
    kind: ClassVar[Kind] = "rule"

    def run(self, problem: PipelinePartition, search: Search) -> StopReason:
        """Propose the split and prove the problem's cheap bound."""
        search.propose(even_split(problem))
        search.prove(problem.bound())
        return search.stop() or "converged"


def even_split(problem: PipelinePartition) -> PipelinePartitionDecision:
    """Assign each node, by index, a layer and more up to its share; the last takes what is left."""
    times = problem.forward_s + problem.backward_s
    memory = problem.owners * problem.layer_memory_bytes
    share = _share(times) * (1 + 1e-12)
    latest = _latest_starts(problem, memory)
    ends, start = [0], 0
    for node in range(problem.nodes - 1):
        after = problem.nodes - 1 - node if problem.use_all_nodes else 0
        stop = _take(times[node, start:], memory[start:], share, problem.capacity_bytes[node])
        stop = max(stop, 1, latest[node + 1] - start)
        start += min(stop, problem.layers - after - start)
        ends.append(start)
    ends.append(problem.layers)
    return PipelinePartitionDecision.of_chain(range(problem.nodes), ends)


def _latest_starts(problem: PipelinePartition, memory: FloatArray) -> list[int]:
    """Return for each node the first layer from which it and those behind it have room for all."""
    starts, stop = [], problem.layers
    for node in range(problem.nodes - 1, -1, -1):
        fits = np.cumsum(memory[:stop][::-1]) <= problem.capacity_bytes[node]
        stop -= int(fits.sum())
        starts.append(stop)
    return starts[::-1]


def _share(times: FloatArray) -> float:
    total = times.sum(axis=1)
    return 0.0 if (total == 0).any() else float(1.0 / (1.0 / total).sum())


def _take(times: FloatArray, memory: FloatArray, share: float, room: float) -> int:
    """Count the layers that keep below the share of time and the room in memory."""
    fits = (np.cumsum(times) <= share) & (np.cumsum(memory) <= room)
    return int(fits.sum())
