"""Lower bounds of `PipelinePartition` that need no search."""

from __future__ import annotations

import math

import numpy as np

from splitopt.latency.pipeline import epoch_time
from splitopt.problems.base import FloatArray
from splitopt.problems.pipeline_partition.data import PipelinePartitionData


def cheap_bound(problem: PipelinePartitionData) -> float:
    """Bound the objective from the nodes' computing alone; ``-inf`` if a layer fits no node.

    The period is at least what the worst layer takes on its best node, what a node that must be
    used takes for its quickest layer, and the total work over the total speed. Eq. 3 is bounded by
    the same of forward and backward separately, and of their sum.
    """
    need = problem.owners * problem.layer_memory_bytes
    fits = need <= problem.capacity_bytes[:, None]
    if not fits.any(axis=0).all() or (problem.use_all_nodes and not fits.any(axis=1).all()):
        return -math.inf
    forward = np.where(fits, problem.forward_s, np.inf)
    backward = np.where(fits, problem.backward_s, np.inf)
    both = forward + backward
    period = _busiest(both, problem.use_all_nodes)
    if problem.objective == "paper":
        apart = _busiest(forward, problem.use_all_nodes) + _busiest(backward, problem.use_all_nodes)
        return max(period, apart)
    if problem.objective == "round":
        assert problem.owner_groups is not None
        chain = math.fsum(both.min(axis=0).tolist())
        return float(problem.owner_groups.round_time(problem.least_own_s, chain, period))
    if problem.objective == "epoch":
        assert problem.batches is not None
        trip = math.fsum(both.min(axis=0).tolist()) + problem.owner_transfers_s
        return float(epoch_time(trip, period, problem.batches))
    return period


def _busiest(times: FloatArray, use_all: bool) -> float:
    """Bound the largest sum of a partition of times (N, S), infinite where a layer does not fit.

    In T seconds node i does at most ``T max_j(least_j / times_ij)`` of the work that layers are
    worth, if a layer is worth its least time over the nodes: T is at least the whole work over the
    sum of these speeds.
    """
    least = times.min(axis=0)
    worth = np.divide(least, times, out=np.zeros_like(times), where=times > 0)
    speed = worth.max(axis=1).sum()
    spread = least.sum() / speed if speed > 0 else 0.0
    bound = max(float(least.max()), float(spread))
    return max(bound, float(times.min(axis=1).max())) if use_all else bound
