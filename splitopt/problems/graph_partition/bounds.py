"""A lower bound of `GraphPartition` in closed form."""

from __future__ import annotations

import math

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.graph_partition.data import GraphPartitionData

_ROUNDING = 1 - 1e-12
"""Sums are rounded, and a bound must not be above what is true by that."""


def cheap_bound(problem: GraphPartitionData) -> float:
    """Bound the largest load by the whole work, and by the dearest class.

    A CPU that works for T takes at most r T of the accelerators' work off them, where r is the
    largest ratio of a node's time on an accelerator to that on a CPU: P <= k T + l r T. Nodes that
    cost a CPU nothing, and those that no accelerator takes, count for nothing. A class runs on one
    device, an accelerator or a CPU.
    """
    return float(load_bounds(problem, np.array(problem.accelerators), np.array(problem.cpus)))


def load_bounds(problem: GraphPartitionData, accelerators: IntArray, cpus: IntArray) -> FloatArray:
    """Return the same bound for at most so many accelerators and CPUs, arrays of one shape."""
    own, other = problem.accelerator_s.copy(), problem.cpu_s
    own[problem.cpu_only] = 0.0
    width = accelerators.astype(np.float64)
    if problem.cpus:
        own[other == 0] = 0.0
        shared = (own > 0) & (other > 0)
        with np.errstate(over="ignore"):
            width = width + cpus * float((own[shared] / other[shared]).max(initial=0.0))
    total = math.fsum(own.tolist()) / np.where(width > 0, width, np.inf)
    return np.asarray(np.maximum(total, dearest_class(problem)) * _ROUNDING)


def dearest_class(problem: GraphPartitionData) -> float:
    """Return the most that a class costs on the device that is best for it."""
    classes = problem.classes
    times = np.bincount(classes, problem.accelerator_s)
    if not problem.cpus:
        return float(times.max())
    on_cpu = np.bincount(classes, problem.cpu_s)
    only = np.bincount(classes, problem.cpu_only) > 0
    return float(np.where(only, on_cpu, np.minimum(times, on_cpu)).max())
