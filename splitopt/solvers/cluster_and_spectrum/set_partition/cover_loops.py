"""Exact covers by depth-first search, compiled: the cheapest partition into listed clusters."""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cluster_and_spectrum.loops import copy
from splitopt.problems.compiling import compiled


@compiled
def best_cover(
    masks: IntArray,
    costs: FloatArray,
    kind: IntArray,
    begin: IntArray,
    first: int,
    left: IntArray,
    limit: float,
    chosen: IntArray,
) -> tuple[float, int]:
    """Find the cheapest cover of all devices that begins with one listed cluster.

    Parameters
    ----------
    masks, costs, kind
        Shape (F,): devices of each cluster as bits of their ranks, its cost >= 0, the number of its
        size. Clusters are grouped by their lowest rank, and rise in cost within a group.
    begin
        Shape (N + 1,): where each group begins.
    first
        The cluster to begin with, one of group 0.
    left
        How many clusters of each size a cover has.
    limit
        Only covers that cost less count.
    chosen
        Filled with the clusters of the best cover.

    Returns
    -------
    Its cost (`limit` if there is none) and how many clusters it has.
    """
    devices = begin.size - 1
    full = (np.int64(1) << devices) - 1 if devices < 63 else np.int64(2**63 - 1)
    stack = np.empty(devices + 1, dtype=np.int64)
    end = np.empty(devices + 1, dtype=np.int64)
    used = np.zeros(devices + 1, dtype=np.int64)
    spent = np.zeros(devices + 1)
    remaining = left.copy()
    best, count, depth = limit, 0, 0
    stack[0], end[0] = first, first + 1
    while depth >= 0:
        place = stack[depth]
        if place >= end[depth] or spent[depth] + costs[place] >= best:
            depth -= 1
            if depth >= 0:
                remaining[kind[stack[depth]]] += 1
                stack[depth] += 1
            continue
        if masks[place] & used[depth] or remaining[kind[place]] == 0:
            stack[depth] += 1
            continue
        taken = used[depth] | masks[place]
        total = spent[depth] + costs[place]
        if taken == full:
            best, count = total, depth + 1
            copy(stack, chosen[:count])
            stack[depth] += 1
            continue
        rank = 0
        while taken >> rank & 1:
            rank += 1
        remaining[kind[place]] -= 1
        depth += 1
        stack[depth], end[depth] = begin[rank], begin[rank + 1]
        used[depth], spent[depth] = taken, total
    return best, count
