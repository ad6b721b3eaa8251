"""The best partition whose parts are neighbours in a given order of the groups, compiled."""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.compiling import compiled, helper
from splitopt.solvers.graph_partition.cut_loops import take_in

INFINITE = 1e308


@helper
def relax(
    value: float, begin: int, end: int, j: int, c: int, kind: int, best: FloatArray, last: IntArray
) -> None:
    """Keep a way to place all groups before `end`, the last part of which starts at `begin`."""
    if value < best[j, c, end]:
        best[j, c, end] = value
        last[j, c, end] = 2 * begin + kind


@compiled
def bottleneck(
    order: IntArray,
    first: int,
    final: int,
    counts: IntArray,
    most: float,
    work_s: FloatArray,
    host_s: FloatArray,
    memory: FloatArray,
    blocked: BoolArray,
    capacity: float,
    own_starts: IntArray,
    own: IntArray,
    member_starts: IntArray,
    cost_s: FloatArray,
    before: IntArray,
    best: FloatArray,
    last: IntArray,
) -> None:
    """Fill the table of least largest loads with the parts that begin at some positions.

    Parameters
    ----------
    order
        Shape (G,): the groups, each behind those that it follows.
    first, final
        Parts begin from position `first` to ``final - 1``; those before are in the table.
    counts
        How many accelerators k and CPUs l there are.
    most
        Larger loads are of no use.
    capacity
        The memory of an accelerator.
    before
        Shape (H,): how many groups of each hyperedge stand before `first`; written to.
    best
        Shape (k + 1, l + 1, G + 1): of the groups before a position with so many accelerators and
        CPUs; written to.
    last
        As `best`: twice the position where the last part begins, and one more for a CPU.
    """
    count, edges = order.size, cost_s.size
    k, l = counts[0], counts[1]  # noqa: E741 - the paper's letter
    inside = np.zeros(edges, np.int64)
    for begin in range(first, final):
        inside[:] = 0
        load = host = room = cut = kept = 0.0
        fits = True
        for end in range(begin + 1, count + 1):
            g = order[end - 1]
            load, host, room = load + work_s[g], host + host_s[g], room + memory[g]
            if fits:
                cut, kept = take_in(
                    g, inside, before, own_starts, own, member_starts, cost_s, cut, kept
                )
                fits = not blocked[g] and room <= capacity and load + kept < most
            hosts = l > 0 and host < most
            if not fits and not hosts:
                break
            for j in range(k + 1):
                for c in range(l + 1):
                    known = best[j, c, begin]
                    if known >= most:
                        continue
                    if fits and j < k and load + cut < most:
                        relax(max(known, load + cut), begin, end, j + 1, c, 0, best, last)
                    if hosts and c < l:
                        relax(max(known, host), begin, end, j, c + 1, 1, best, last)
        g = order[begin]
        for a in range(own_starts[g], own_starts[g + 1]):
            before[own[a]] += 1


@compiled
def longest_parts(
    order: IntArray,
    most: float,
    work_s: FloatArray,
    memory: FloatArray,
    blocked: BoolArray,
    capacity: float,
    own_starts: IntArray,
    own: IntArray,
    member_starts: IntArray,
    cost_s: FloatArray,
    ends: IntArray,
) -> int:
    """Assign to one accelerator after the other the longest part with no load above `most`.

    Parameters
    ----------
    ends
        Shape (k,): where each part ends; written to.

    Returns
    -------
    How many accelerators that takes, -1 where it ends before all groups are placed.
    """
    count, edges = order.size, cost_s.size
    before, inside = np.zeros(edges, np.int64), np.zeros(edges, np.int64)
    begin = 0
    for part in range(ends.size):
        inside[:] = 0
        load = room = cut = kept = 0.0
        good = begin
        for end in range(begin + 1, count + 1):
            g = order[end - 1]
            load, room = load + work_s[g], room + memory[g]
            cut, kept = take_in(
                g, inside, before, own_starts, own, member_starts, cost_s, cut, kept
            )
            if blocked[g] or room > capacity or load + kept > most:
                break
            if load + cut <= most:
                good = end
        if good == begin:
            return -1
        for place in range(begin, good):
            g = order[place]
            for a in range(own_starts[g], own_starts[g + 1]):
                before[own[a]] += 1
        ends[part] = good
        begin = good
        if begin == count:
            return part + 1
    return -1
