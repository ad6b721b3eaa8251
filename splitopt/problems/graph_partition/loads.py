"""How long every device works on a sample, from the nodes and edges as they were given."""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.graph_partition.data import GraphPartitionData


def work(problem: GraphPartitionData, device: IntArray) -> FloatArray:
    """Return the seconds of computing per device, shape (k + l,)."""
    times = np.where(device < problem.accelerators, problem.accelerator_s, problem.cpu_s)
    return np.asarray(np.bincount(device, times, minlength=problem.devices), dtype=np.float64)


def communication(problem: GraphPartitionData, device: IntArray) -> FloatArray:
    """Return the seconds of communication per device, shape (k + l,), 0 for CPUs.

    The output of a node costs its accelerator once if it is needed elsewhere at all, and every
    other accelerator that needs it once.
    """
    start, end = problem.edges[:, 0], problem.edges[:, 1]
    cut = device[start] != device[end]
    count = problem.devices
    received = np.unique(start[cut] * count + device[end[cut]])
    sent = np.unique(start[cut])
    found = np.bincount(received % count, problem.output_s[received // count], minlength=count)
    found += np.bincount(device[sent], problem.output_s[sent], minlength=count)
    found[problem.accelerators :] = 0.0
    return np.asarray(found, dtype=np.float64)


def memory(problem: GraphPartitionData, device: IntArray) -> FloatArray:
    """Return the bytes per accelerator, shape (k,)."""
    found = np.bincount(device, problem.memory_bytes, minlength=problem.devices)
    return np.asarray(found[: problem.accelerators])
