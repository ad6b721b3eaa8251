"""A lower bound of `ReplicatedPipeline` in closed form."""

from __future__ import annotations

import numpy as np

from splitopt.problems.replicated_pipeline.data import ReplicatedPipelineData

_ROUNDING = 1 - 1e-12
"""Sums are rounded, and a bound must not be above what is true by that."""


def cheap_bound(problem: ReplicatedPipelineData) -> float:
    """Bound the period by the work of all layers, and by the longest layer on all devices.

    Let a layer be worth its least time over the types. A device that does a share f of the
    micro-batches of its stage is busy for f times its own seconds of the layers, which is at most
    the period P; so it does at most ``P max_j least_j / time_tj`` of what layers are worth, and all
    devices together do all of it. One layer is in one stage, at best on all devices.
    """
    times = problem.forward_s + problem.backward_s
    if problem.recompute == "always":
        times = times + problem.forward_s
    least = times.min(axis=0)
    worth = np.divide(least, times, out=np.zeros_like(times), where=times > 0)
    speed = float((problem.devices * worth.max(axis=1)).sum())
    spread = float(least.sum()) / speed if speed > 0 else 0.0
    counts = problem.devices[:, None]
    joint = np.minimum((counts * worth).sum(axis=0), problem.most_replicas)
    longest = np.divide(least, joint, out=np.zeros_like(least), where=joint > 0)
    return max(spread, float(longest.max())) * _ROUNDING
