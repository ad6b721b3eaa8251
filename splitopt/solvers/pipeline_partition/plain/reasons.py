"""Why no partition fits the memory of the nodes, and what would do."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from splitopt.problems.base import FEASIBILITY_TOLERANCE
from splitopt.problems.pipeline_partition import Links, PipelinePartition

_NEVER = 1e30
"""Fullness of a node without memory that must host something."""


def why_none(problem: PipelinePartition, least_period: Callable[[PipelinePartition], float]) -> str:
    """Say what would do; the problem is known to have no partition.

    How much memory is missing is a pipeline problem itself: a layer "takes" its share of a node's
    memory, and the least period is the fullness of the fullest node.

    Parameters
    ----------
    problem
        Without an answer, though nothing shows without a search.
    least_period
        Gives the optimum of a problem that has an answer.
    """
    factor = least_period(_fullness(problem))
    mends = []
    if factor < _NEVER / 10:
        mends.append(f"{math.ceil(factor * 1000) / 1000:g} times the memory of every node")
        owners = math.floor(problem.owners / factor * (1 + FEASIBILITY_TOLERANCE / 2))
        if owners >= 1:
            mends.append(
                f"at most {owners:,} owner{'s' * (owners > 1)} instead of {problem.owners:,}"
            )
    if problem.order == "given" and _fits(replace(problem, order="free"), least_period):
        mends.append("another order (order: free)")
    if problem.use_all_nodes and _fits(replace(problem, use_all_nodes=False), least_period):
        mends.append("idle nodes (use_all_nodes: false)")
    order = "in any order" if problem.order == "free" else "in the given order"
    return (
        f"no partition of the {problem.layers} layers into neighbouring runs fits the memory of "
        f"the {problem.nodes} nodes {order}; {', or '.join(mends) or 'more memory'} would do"
    )


def _fullness(problem: PipelinePartition) -> PipelinePartition:
    """Make the problem whose period is the fullness of the fullest node."""
    need = np.broadcast_to(
        problem.owners * problem.layer_memory_bytes, (problem.nodes, problem.layers)
    )
    room = problem.node_memory_bytes[:, None]
    full = np.divide(need, room, out=np.where(need > 0, _NEVER, 0.0), where=room > 0)
    return replace(
        problem,
        forward_s=np.minimum(full, _NEVER),
        backward_s=np.zeros_like(full),
        layer_memory_bytes=np.zeros(problem.layers),
        objective="period",
        links=Links(problem.nodes),
    )


def _fits(problem: PipelinePartition, least_period: Callable[[PipelinePartition], float]) -> bool:
    return least_period(_fullness(problem)) <= 1 + FEASIBILITY_TOLERANCE / 2
