"""Why no pipeline can be feasible, as far as it shows without a search."""

from __future__ import annotations

import math

import numpy as np

from splitopt.problems.replicated_pipeline.data import ReplicatedPipelineData
from splitopt.units import readable_bytes


def obvious_reason(problem: ReplicatedPipelineData) -> str | None:
    """Report what makes every pipeline infeasible and what would do, if it is obvious."""
    most = problem.layers * problem.most_replicas
    if problem.use_all_devices and problem.device_count > most:
        return (
            f"{problem.device_count:,} devices must all be used, and {problem.layers:,} stages of "
            f"at most {problem.most_replicas:,} have {most:,}; raise max_replicas, or let devices "
            "stay idle (use_all_devices: false)"
        )
    return _layer_that_fits_nowhere(problem) or _too_little_memory(problem)


def _layer_that_fits_nowhere(problem: ReplicatedPipelineData) -> str | None:
    states = problem.optimizer_bytes
    if problem.shard_optimizer:
        states = states / problem.most_replicas
    need = 2 * problem.weight_bytes + states + problem.activation_bytes
    worst, largest = int(need.argmax()), float(problem.room_bytes.max())
    if need[worst] <= problem.capacity_bytes.max():
        return None
    return (
        f"layer {worst} needs {readable_bytes(float(need[worst]))} with one micro-batch in flight, "
        f"and the largest device has {readable_bytes(largest)} beside its reserve; smaller "
        "micro-batches, a smaller layer or a device with more memory would do"
    )


def _too_little_memory(problem: ReplicatedPipelineData) -> str | None:
    """Hold weights, gradients and states against all devices: each is somewhere, once at least."""
    held = 2 * math.fsum(problem.weight_bytes.tolist())
    held += math.fsum(problem.optimizer_bytes.tolist())
    if not np.isfinite(problem.room_bytes).all():
        return None
    there = float((problem.devices * problem.capacity_bytes).sum())
    if held <= there:
        return None
    return (
        f"weights, gradients and states of the optimizer take {readable_bytes(held)}, and all "
        f"devices together have {readable_bytes(there)} beside their reserve; more devices or "
        "more memory would do"
    )
