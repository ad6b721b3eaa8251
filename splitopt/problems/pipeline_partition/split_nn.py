"""A round of SplitNN on the owners and nodes of a pipeline: one node hosts all offloaded layers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from splitopt.latency.pipeline import OwnerParts, Stages
from splitopt.latency.split_nn import split_nn_phases, split_nn_time
from splitopt.problems.pipeline_partition.owners import OwnerGroups
from splitopt.problems.pipeline_partition.problem import PipelinePartition


@dataclass(frozen=True)
class SplitNNRound:
    """What a round of SplitNN takes in s, also by phase, and the node that hosts the middle."""

    node: int
    seconds: float
    phases: dict[str, float]


def split_nn_round(problem: PipelinePartition, nodes: Iterable[int]) -> SplitNNRound | None:
    """Return the round with that one of some nodes with which it is the shortest.

    A node hosts the layers once, whatever the number of owners. None where none of the nodes has
    the memory for that, or the problem knows nothing of its owners.
    """
    groups, need = problem.owner_groups, math.fsum(problem.layer_memory_bytes.tolist())
    if groups is None:
        return None
    able = sorted({int(node) for node in nodes if need <= problem.capacity_bytes[node]})
    rounds = [_round_on(problem, groups, node) for node in able]
    return min(rounds, key=lambda found: found.seconds, default=None)


def _round_on(problem: PipelinePartition, groups: OwnerGroups, node: int) -> SplitNNRound:
    stages = Stages(
        problem.forward_s[node].sum(keepdims=True), problem.backward_s[node].sum(keepdims=True)
    )
    parts, member = problem.own_parts(node, node), groups.member
    owners = OwnerParts(*(np.broadcast_to(value, groups.count.shape)[member] for value in parts))
    batches = groups.batches[member]
    upload_s, download_s = groups.upload_s[member], groups.download_s[member]
    hand_over_s = upload_s + download_s + 2 * owners.latency_s
    phases = split_nn_phases(stages, owners, batches, upload_s, download_s)
    return SplitNNRound(
        node,
        float(split_nn_time(stages, owners, batches, hand_over_s)),
        {name: float(seconds) for name, seconds in phases.items() if seconds > 0},
    )
