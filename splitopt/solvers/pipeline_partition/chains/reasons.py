"""Why no chain of nodes meets all constraints, and what would do."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from splitopt.problems.base import FEASIBILITY_TOLERANCE
from splitopt.problems.pipeline_partition import Links, PipelinePartition
from splitopt.solvers.pipeline_partition.chains.caps import TooLargeError
from splitopt.solvers.pipeline_partition.chains.search import ChainSearch

_NEVER = 1e30
"""Fullness of a node without memory that must host something."""


def why_none(problem: PipelinePartition) -> str:
    """Return what stands in the way of every chain; the problem is known to have none."""
    problem = _for_period(problem)
    order = "in any order" if problem.order == "free" else "in the given order"
    if _feasible(replace(problem, links=Links(problem.nodes))):
        every = "all" if problem.use_all_nodes else "any"
        missing = int((problem.links.rates == 0).sum())
        what = (
            f"no chain of {every} of the {problem.nodes} nodes {order} passes only pairs of nodes "
            f"that have a link where bytes cross between them ({missing} of "
            f"{problem.nodes * (problem.nodes - 1)} pairs have none)"
        )
        mends = ["a bandwidth above 0 for more pairs"]
    else:
        what = (
            f"no partition of the {problem.layers} layers into neighbouring runs fits the memory "
            f"of the {problem.nodes} nodes {order}"
        )
        mends = _more_memory(problem)
    if problem.order == "given" and _feasible(replace(problem, order="free")):
        mends.append("another order (order: free)")
    if problem.use_all_nodes and _feasible(replace(problem, use_all_nodes=False)):
        mends.append("idle nodes (use_all_nodes: false)")
    return f"{what}; {', or '.join(mends) or 'more memory'} would do"


def _more_memory(problem: PipelinePartition) -> list[str]:
    """Return how much memory, or how many owners, would do.

    How much memory is missing is a pipeline problem itself: a layer "takes" its share of a node's
    memory, and the least period is the fullness of the fullest node.
    """
    full = _fullness(problem)
    found: list[float] = []
    ending = ChainSearch(full).least_period(
        offer=lambda decision: found.append(full.evaluate(decision)),
        prove=lambda _: None,
        stopped=lambda: False,
    )
    if ending != "proved" or found[-1] >= _NEVER / 10:
        return []
    factor = found[-1]
    mends = [f"{math.ceil(factor * 1000) / 1000:g} times the memory of every node"]
    owners = math.floor(problem.owners / factor * (1 + FEASIBILITY_TOLERANCE / 2))
    if owners >= 1:
        mends.append(f"at most {owners:,} owner{'s' * (owners > 1)} instead of {problem.owners:,}")
    return mends


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
        links=Links(problem.nodes),
    )


def _for_period(problem: PipelinePartition) -> PipelinePartition:
    return replace(problem, objective="period")


def _feasible(problem: PipelinePartition) -> bool:
    if problem.infeasibility() is not None:
        return False
    try:
        return ChainSearch(problem).is_feasible()
    except TooLargeError:
        return False
