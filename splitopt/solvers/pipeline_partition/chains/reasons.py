"""Why no chain of nodes meets all constraints, and what would do."""

from __future__ import annotations

from dataclasses import replace

from splitopt.problems.pipeline_partition import Links, PipelinePartition
from splitopt.solvers.pipeline_partition.chains.search import ChainSearch, TooLargeError


def why_none(problem: PipelinePartition) -> str:
    """Say what stands in the way of every chain; the problem is known to have none."""
    order = "in any order" if problem.order == "free" else "in the given order"
    every = "all" if problem.use_all_nodes else "any"
    unlinked = replace(problem, objective="period", links=Links(problem.nodes))
    what = f"no chain of {every} of the {problem.nodes} nodes {order}"
    mends = []
    if _feasible(unlinked):
        missing = problem.links.rates == 0
        what += (
            f" passes only pairs of nodes that have a link where bytes cross between them "
            f"({int(missing.sum())} of {problem.nodes * (problem.nodes - 1)} pairs have none)"
        )
        mends.append("a bandwidth above 0 for more pairs")
    else:
        what += f" can hold the {problem.layers} layers in its memory"
        if owners := _most_owners(unlinked):
            mends.append(f"at most {owners:,} owners instead of {problem.owners:,}")
        else:
            mends.append("more memory")
    if problem.order == "given" and _feasible(replace(problem, objective="period", order="free")):
        mends.append("another order (order: free)")
    if problem.use_all_nodes and _feasible(
        replace(problem, objective="period", use_all_nodes=False)
    ):
        mends.append("idle nodes (use_all_nodes: false)")
    return f"{what}; {', or '.join(mends)} would do"


def _feasible(problem: PipelinePartition) -> bool:
    if problem.infeasibility() is not None:
        return False
    try:
        return ChainSearch(problem).is_feasible()
    except TooLargeError:
        return False


def _most_owners(problem: PipelinePartition) -> int:
    """Give the largest number of owners that fit, 0 if not even one does."""
    low, high = 0, problem.owners
    while high - low > 1:
        middle = (low + high) // 2
        if _feasible(replace(problem, objective="period", owners=middle, owner_groups=None)):
            low = middle
        else:
            high = middle
    return low
