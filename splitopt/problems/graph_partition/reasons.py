"""Why no partition can be feasible, as far as it shows without a search."""

from __future__ import annotations

import math

import numpy as np

from splitopt.problems.graph_partition.data import GraphPartitionData
from splitopt.units import readable_bytes


def obvious_reason(problem: GraphPartitionData) -> str | None:
    """Report what cannot fit and what would have to change; None if everything may."""
    if problem.cpus:
        return None
    if (only := np.flatnonzero(problem.cpu_only)).size:
        return (
            f"node {only[0]} runs on a CPU only, and there is none; set cpus to 1, or let "
            "accelerators take the node"
        )
    limit = problem.accelerator_memory_bytes
    if limit is None:
        return None
    sizes = np.bincount(problem.classes, problem.memory_bytes)
    largest = int(sizes.argmax())
    if sizes[largest] > problem.memory_limit:
        first = int(np.flatnonzero(problem.classes == largest)[0])
        return (
            f"node {first} and what must stay with it take {readable_bytes(float(sizes[largest]))},"
            f" and an accelerator has {readable_bytes(limit)}; give accelerators more memory, or "
            "add a CPU, whose memory has no limit"
        )
    total = math.fsum(problem.memory_bytes.tolist())
    if total > problem.accelerators * problem.memory_limit:
        return (
            f"all nodes take {readable_bytes(total)}, and {problem.accelerators} accelerators have "
            f"{readable_bytes(problem.accelerators * limit)} together; take more accelerators, give"
            " them more memory, or add a CPU, whose memory has no limit"
        )
    return None
