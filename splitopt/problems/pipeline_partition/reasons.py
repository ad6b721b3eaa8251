"""Why no partition can be feasible, as far as it shows without a search."""

from __future__ import annotations

import math

import numpy as np

from splitopt.problems.base import FEASIBILITY_TOLERANCE, IntArray
from splitopt.problems.pipeline_partition.data import PipelinePartitionData
from splitopt.units import readable_bytes as _bytes


def obvious_reason(problem: PipelinePartitionData) -> str | None:
    """Report what makes every partition infeasible and what would do, if it is obvious."""
    return (
        _too_few_layers(problem)
        or _layer_that_fits_nowhere(problem)
        or _node_that_fits_nothing(problem)
        or _too_little_memory(problem)
    )


def _too_few_layers(problem: PipelinePartitionData) -> str | None:
    if not problem.use_all_nodes or problem.layers >= problem.nodes:
        return None
    return (
        f"{problem.nodes} nodes must host at least one layer each, but there are only "
        f"{_count(problem.layers, 'layer')}; take at most {_count(problem.layers, 'node')}, or let "
        "nodes stay idle (use_all_nodes: false)"
    )


def _layer_that_fits_nowhere(problem: PipelinePartitionData) -> str | None:
    need = problem.owners * problem.layer_memory_bytes
    largest = float(problem.node_memory_bytes.max())
    stuck = np.flatnonzero(need > problem.capacity_bytes.max())
    if stuck.size == 0:
        return None
    worst = int(need.argmax())
    owners = math.floor(problem.capacity_bytes.max() / problem.layer_memory_bytes[worst])
    mend = f"a node with {_bytes(need[worst])}"
    if owners >= 1:
        mend += f", or at most {_count(owners, 'owner')},"
    return (
        f"{stuck.size} of {problem.layers} layers fit no node (index {_listed(stuck)}): layer "
        f"{worst} needs {_bytes(need[worst])} for {_count(problem.owners, 'owner')} and the "
        f"largest node has {_bytes(largest)}; {mend} would do"
    )


def _node_that_fits_nothing(problem: PipelinePartitionData) -> str | None:
    if not problem.use_all_nodes:
        return None
    least = problem.owners * float(problem.layer_memory_bytes.min())
    stuck = np.flatnonzero(problem.capacity_bytes < least)
    if stuck.size == 0:
        return None
    return (
        f"every node must host a layer, but {stuck.size} of {problem.nodes} nodes have not even "
        f"the {_bytes(least)} of the smallest layer (index {_listed(stuck)}); leave them out, or "
        "let nodes stay idle (use_all_nodes: false)"
    )


def _too_little_memory(problem: PipelinePartitionData) -> str | None:
    need = problem.owners * math.fsum(problem.layer_memory_bytes.tolist())
    there = math.fsum(problem.node_memory_bytes.tolist())
    if need <= math.fsum(problem.capacity_bytes.tolist()):
        return None
    largest = float(problem.node_memory_bytes.max())
    count = nodes_needed(problem, largest)
    return (
        f"the layers need {_bytes(need)} for {_count(problem.owners, 'owner')} and all nodes "
        f"together have {_bytes(there)}, which is {_bytes(need - there)} too little; {count} nodes "
        f"with {_bytes(largest)}, as the largest has, would do"
    )


def nodes_needed(problem: PipelinePartitionData, memory_bytes: float) -> int:
    """Return the least number of nodes with this memory that hold all layers, each of which fits.

    Filling one node after the other is optimal for nodes of the same size.
    """
    need = problem.owners * problem.layer_memory_bytes
    capacity = memory_bytes * (1 + FEASIBILITY_TOLERANCE)
    count, used = 1, 0.0
    for layer in need.tolist():
        used += layer
        if used > capacity:
            count, used = count + 1, layer
    return count


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _listed(places: IntArray) -> str:
    return ", ".join(str(k) for k in places[:8]) + (", ..." if places.size > 8 else "")
