"""Which ideals devices reach one after the other within a limit T, compiled.

A state is an ideal and how many CPUs have worked for it. Each state is reached once, at the first
layer (number of accelerators) that reaches it: later it would only have fewer devices left.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.compiling import compiled, helper
from splitopt.solvers.graph_partition.cut_loops import leave_out, take_in
from splitopt.solvers.graph_partition.ideal_loops import BITS, holds, lowest

FREE, WORK, HOST, MEMORY, CUT = 0, 1, 2, 3, 4
"""The columns of the ideals' sums."""


@helper
def least_work(
    ideal: int, layer: int, cpus: int, sums: FloatArray, limits: FloatArray, counts: IntArray
) -> Any:
    """Return the work that must be added to an ideal for the devices that are left after that.

    While a CPU is free, it takes at most its relief off the accelerators.
    """
    whole = sums.shape[0] - 1
    left = (counts[0] - layer) * limits[0]
    if cpus < counts[1]:
        return sums[whole, FREE] - sums[ideal, FREE] - left - (counts[1] - cpus) * limits[1]
    return sums[whole, WORK] - sums[ideal, WORK] - left


@helper
def within_window(
    ideal: int, layer: int, cpus: int, sums: FloatArray, limits: FloatArray, counts: IntArray
) -> bool:
    """Whether the devices that are left can do what is left.

    When all CPUs have worked, each hyperedge that the ideal cuts is paid for by one of the
    accelerators that are left, and their memory must do. Before that, communication counts for
    nothing, as a CPU does not pay for it.
    """
    need = least_work(ideal, layer, cpus, sums, limits, counts)
    if cpus < counts[1]:
        return bool(need <= 0.0)
    whole = sums.shape[0] - 1
    if ideal != whole and need + sums[ideal, CUT] > 0.0:
        return False
    left = float(counts[0] - layer)
    return bool(sums[whole, MEMORY] - sums[ideal, MEMORY] <= left * limits[2])


@helper
def reach(
    ideal: int,
    cpus: int,
    value: float,
    parent: int,
    on_cpu: int,
    layer: int,
    first: int,
    seen: IntArray,
    states: IntArray,
    values: FloatArray,
    size: IntArray,
    sums: FloatArray,
    limits: FloatArray,
    counts: IntArray,
) -> None:
    """Keep a state if it is new and within the window, or a lower value if it is not used yet.

    Parameters
    ----------
    value
        The largest load on the way.
    first
        The first state from which nothing went on yet.
    seen
        Shape (I, l + 1): the number of a state and 1, 0 where it is not reached.
    """
    known = seen[ideal, cpus] - 1
    if known >= 0:
        if known >= first and value < values[known]:
            values[known] = value
            states[known, 2], states[known, 3] = parent, on_cpu
        return
    if not within_window(ideal, layer, cpus, sums, limits, counts):
        return
    place = size[0]
    seen[ideal, cpus] = place + 1
    states[place, 0], states[place, 1] = ideal, cpus
    states[place, 2], states[place, 3] = parent, on_cpu
    values[place] = value
    size[0] += 1


@helper
def count_groups(ideal: IntArray, own_starts: IntArray, own: IntArray, count: IntArray) -> None:
    """Write how many groups of an ideal, given as its words, each hyperedge has."""
    for h in range(count.size):
        count[h] = 0
    for w in range(ideal.size):
        rest = ideal[w]
        while rest != 0:
            bit = rest & -rest
            rest ^= bit
            g = w * BITS + lowest(bit)
            for a in range(own_starts[g], own_starts[g + 1]):
                count[own[a]] += 1


@compiled
def step_accelerator(
    first: int,
    end: int,
    layer: int,
    states: IntArray,
    values: FloatArray,
    alive: BoolArray,
    size: IntArray,
    seen: IntArray,
    stamp: IntArray,
    words: IntArray,
    sums: FloatArray,
    arc_starts: IntArray,
    arc_group: IntArray,
    arc_ideal: IntArray,
    work_s: FloatArray,
    memory: FloatArray,
    blocked: BoolArray,
    own_starts: IntArray,
    own: IntArray,
    member_starts: IntArray,
    cost_s: FloatArray,
    limits: FloatArray,
    counts: IntArray,
    most_pairs: int,
) -> tuple[int, int]:
    """Extend by one more accelerator, from the states ``first`` to ``end - 1``.

    From an ideal I the supersets J are visited depth first along the arcs, each once. Counters per
    hyperedge say how many of its groups are in I, and in S = J less I. A branch ends where the work
    of S and what it cuts towards I, which more groups never save, are above the limit, where the
    latter leaves too little for the work that S must have, or where the memory is full.

    Parameters
    ----------
    layer
        Of the states that are reached.
    values
        The largest load on the way to a state.
    stamp
        Shape (I,): the last walk that visited an ideal; a walk is numbered by its state + 1.
    limits
        The largest load, what a CPU relieves accelerators of, and the memory of an accelerator.
    counts
        How many accelerators and CPUs there are.
    most_pairs
        Stop after the state with which so many pairs of ideals were looked at.

    Returns
    -------
    The state to go on with, and the pairs.
    """
    groups, edges = work_s.size, cost_s.size
    before, inside = np.zeros(edges, np.int64), np.zeros(edges, np.int64)
    path, place = np.zeros(groups + 1, np.int64), np.zeros(groups + 1, np.int64)
    added = np.zeros(groups + 1, np.int64)
    load, room = np.zeros(groups + 1), np.zeros(groups + 1)
    kept, cut = np.zeros(groups + 1), np.zeros(groups + 1)
    pairs, s = 0, first
    while s < end and pairs < most_pairs:
        if not alive[s]:
            s += 1
            continue
        start, cpus = states[s, 0], states[s, 1]
        count_groups(words[start], own_starts, own, before)
        most_kept = limits[0] - max(0.0, least_work(start, layer, cpus, sums, limits, counts))
        depth = 0
        path[0], place[0] = start, arc_starts[start]
        stamp[start] = s + 1
        while depth >= 0:
            if place[depth] == arc_starts[path[depth] + 1]:
                if depth > 0:
                    leave_out(added[depth], inside, own_starts, own)
                depth -= 1
                continue
            arc = place[depth]
            place[depth] += 1
            j = arc_ideal[arc]
            if stamp[j] == s + 1:
                continue
            stamp[j] = s + 1
            pairs += 1
            g = arc_group[arc]
            own_load = load[depth] + work_s[g]
            own_room = room[depth] + memory[g]
            if blocked[g] or own_load + kept[depth] > limits[0] or own_room > limits[2]:
                continue
            own_kept, own_cut = kept[depth], cut[depth]
            own_cut, own_kept = take_in(
                g, inside, before, own_starts, own, member_starts, cost_s, own_cut, own_kept
            )
            if own_load + own_kept > limits[0] or own_kept > most_kept:
                leave_out(g, inside, own_starts, own)
                continue
            depth += 1
            path[depth], place[depth], added[depth] = j, arc_starts[j], g
            load[depth], room[depth] = own_load, own_room
            kept[depth], cut[depth] = own_kept, own_cut
            if own_load + own_cut <= limits[0]:
                value = max(values[s], own_load + own_cut)
                reach(
                    *(j, cpus, value, s, 0, layer, end, seen, states, values, size),
                    *(sums, limits, counts),
                )
        s += 1
    return s, pairs


@compiled
def step_cpu(
    first: int,
    end: int,
    cpus: int,
    layer: int,
    unused: int,
    states: IntArray,
    values: FloatArray,
    alive: BoolArray,
    size: IntArray,
    seen: IntArray,
    stamp: IntArray,
    sums: FloatArray,
    arc_starts: IntArray,
    arc_group: IntArray,
    arc_ideal: IntArray,
    host_s: FloatArray,
    limits: FloatArray,
    counts: IntArray,
    most_pairs: int,
) -> tuple[int, int]:
    """Extend by a CPU those of some states for which `cpus` CPUs have worked.

    As `step_accelerator`, whose parameters these are; walks are numbered from -2 downwards, and
    `unused` is the first state from which nothing went on yet.
    """
    path, place = np.zeros(host_s.size + 1, np.int64), np.zeros(host_s.size + 1, np.int64)
    load = np.zeros(host_s.size + 1)
    pairs, s = 0, first
    while s < end and pairs < most_pairs:
        if not alive[s] or states[s, 1] != cpus:
            s += 1
            continue
        mark = -2 - s
        start = states[s, 0]
        depth = 0
        path[0], place[0] = start, arc_starts[start]
        stamp[start] = mark
        while depth >= 0:
            if place[depth] == arc_starts[path[depth] + 1]:
                depth -= 1
                continue
            arc = place[depth]
            place[depth] += 1
            j = arc_ideal[arc]
            if stamp[j] == mark:
                continue
            stamp[j] = mark
            pairs += 1
            own_load = load[depth] + host_s[arc_group[arc]]
            if own_load > limits[0]:
                continue
            depth += 1
            path[depth], place[depth], load[depth] = j, arc_starts[j], own_load
            value = max(values[s], own_load)
            reach(
                *(j, cpus + 1, value, s, 1, layer, unused, seen, states, values, size),
                *(sums, limits, counts),
            )
        s += 1
    return s, pairs


@helper
def offending(
    ideal: int,
    words: IntArray,
    work_s: FloatArray,
    member_starts: IntArray,
    members: IntArray,
    cost_s: FloatArray,
    share: FloatArray,
    mask: IntArray,
) -> None:
    """Write the groups of an ideal whose work is less than the hyperedges by which they leave it.

    Parameters
    ----------
    share
        Shape (G,): zeros, and zeros again in the end.
    mask
        Shape (W,): written to.
    """
    mask[:] = 0
    own = words[ideal]
    for h in range(cost_s.size):
        inside = 0
        begin, end = member_starts[h], member_starts[h + 1]
        for k in range(begin, end):
            if holds(own, members[k]):
                inside += 1
        if 0 < inside < end - begin:
            for k in range(begin, end):
                g = members[k]
                if holds(own, g):
                    share[g] += cost_s[h]
                    if share[g] * (1 + 1e-12) > work_s[g]:
                        mask[g // BITS] |= 1 << (g % BITS)
    for g in range(work_s.size):
        share[g] = 0.0


@compiled
def drop_dominated(
    order: IntArray,
    cpus: int,
    states: IntArray,
    alive: BoolArray,
    words: IntArray,
    work_s: FloatArray,
    member_starts: IntArray,
    members: IntArray,
    cost_s: FloatArray,
    masks: IntArray,
) -> int:
    """Drop states from which nothing is reached that another state would not reach.

    An ideal I is not needed beside I' that holds it, with no more CPUs used, if each group of I'
    less I has at least as much work as all hyperedges cost by which it leaves I': whatever
    completes I does so for I' without the groups of I', and no load grows.

    Parameters
    ----------
    order
        The states of a layer, larger ideals first.
    cpus
        Only states with so many CPUs used are dropped.
    masks
        Shape (K, W): room for the offending groups of those that are kept.

    Returns
    -------
    How many were dropped.
    """
    share = np.zeros(work_s.size)
    kept = np.zeros(len(masks), np.int64)
    count = dropped = 0
    width = words.shape[1]
    for s in order:
        if not alive[s]:
            continue
        own = words[states[s, 0]]
        if states[s, 1] == cpus:
            for k in range(count):
                other = kept[k]
                if states[other, 1] > cpus:
                    continue
                more = words[states[other, 0]]
                fits = True
                for w in range(width):
                    if own[w] & ~more[w] != 0 or more[w] & ~own[w] & masks[k, w] != 0:
                        fits = False
                        break
                if fits:
                    alive[s] = False
                    dropped += 1
                    break
            if not alive[s]:
                continue
        if count < len(kept):
            offending(
                states[s, 0], words, work_s, member_starts, members, cost_s, share, masks[count]
            )
            kept[count] = s
            count += 1
    return dropped
