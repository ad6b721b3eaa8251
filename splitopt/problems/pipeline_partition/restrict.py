"""The same pipeline on fewer nodes, for fewer owners, or for other layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from splitopt.problems.pipeline_partition.links import Links
from splitopt.problems.pipeline_partition.problem import PipelinePartition


def restricted(
    problem: PipelinePartition, nodes: Sequence[int], **changes: Any
) -> PipelinePartition:
    """Return the problem on some of its nodes.

    Parameters
    ----------
    nodes
        Indices of the nodes to keep; node k of the new problem is ``nodes[k]`` of the old one.
    **changes
        Fields of `PipelinePartition` to replace, such as ``owners`` or ``batches``.
    """
    kept = np.asarray(nodes, dtype=np.int64)
    fields: dict[str, Any] = {
        "forward_s": problem.forward_s[kept],
        "backward_s": problem.backward_s[kept],
        "layer_memory_bytes": problem.layer_memory_bytes,
        "node_memory_bytes": problem.node_memory_bytes[kept],
        "owners": problem.owners,
        "objective": problem.objective,
        "cut_up_bytes": problem.cut_up_bytes,
        "cut_down_bytes": problem.cut_down_bytes,
        "links": links_among(problem.links, kept.tolist()),
        "order": problem.order,
        "use_all_nodes": problem.use_all_nodes,
        "batches": problem.batches,
        "owner_groups": problem.owner_groups,
    }
    if not {"owners", "batches"}.isdisjoint(changes):
        fields["owner_groups"] = None  # those of other owners
    return PipelinePartition(**fields | changes)


def links_among(links: Links, nodes: Sequence[int]) -> Links:
    """Return the links between some of the nodes."""
    found = links.to_dict()
    for key in ("bandwidth_bytes_per_s", "latency_s"):
        value = np.asarray(found.get(key, 0.0))
        if value.ndim:
            found[key] = value[np.ix_(*[list(nodes)] * value.ndim)]
    return Links.read(found, len(nodes))


def alike_nodes(problem: PipelinePartition) -> list[int]:
    """Return for each node the first one that can stand in for it in any plan.

    Two nodes are alike if their times, memory and interface are the same, and if exchanging them
    changes no entry of a matrix of links. In a given order no two nodes are alike.
    """
    count = problem.nodes
    if problem.order == "given":
        return list(range(count))
    own = np.column_stack((problem.node_memory_bytes, problem.forward_s, problem.backward_s))
    if problem.links.interface_rates is not None:
        own = np.column_stack((own, problem.links.interface_rates))
    first = list(range(count))
    for node in range(count):
        for other in range(node):
            if first[other] == other and _same(problem, own, node, other):
                first[node] = other
                break
    return first


def _same(problem: PipelinePartition, own: Any, a: int, b: int) -> bool:
    if not np.array_equal(own[a], own[b]):
        return False
    swapped = np.arange(problem.nodes)
    swapped[[a, b]] = b, a
    place = np.ix_(swapped, swapped)
    tables = (problem.links.rates, problem.links.delays_s)
    return all(np.array_equal(table[place], table) for table in tables)
