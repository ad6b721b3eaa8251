"""The compiled loops that share a cluster's subcarriers; `subcarriers` is their plain interface.

A cluster comes as an array (6, K): for each of the starting, the inner and the ending phase a row
of seconds that no subcarrier shortens and a row of seconds at one subcarrier, so that device k
with x subcarriers takes ``fixed + spectral / x``. Every level here is that very expression, as in
`ClusterAndSpectrum.evaluate`: the numbers agree to the last bit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.compiling import compiled, helper

GREEDY, TIE_SAFE, EXACT = 0, 1, None
"""The rules. The exact one is no number, so that numba leaves the others out of loops for it."""

_NEEDS = 5
"""The first row of the workspace of `exact` that holds what a level of the inner phase needs."""


class Sharing(NamedTuple):
    """How clusters share subcarriers: the rule, and what is the same for all clusters.

    Parameters
    ----------
    rule
        `GREEDY`, `TIE_SAFE` or `EXACT`.
    inner_phases
        Local epochs but the first.
    """

    rule: int | None
    subcarriers: int
    inner_phases: int
    server_s_per_device: float


@helper
def copy(source: IntArray, target: IntArray) -> None:
    """Copy whole numbers; numba takes ten times as long to compile ``target[:] = source``."""
    for k in range(len(target)):
        target[k] = source[k]


@helper
def gather(terms: FloatArray, members: IntArray, cluster: FloatArray) -> None:
    """Copy the rows of a cluster's members out of the terms (N, 6) into (6, K)."""
    for k in range(len(members)):
        row = terms[members[k]]
        for term in range(6):
            cluster[term, k] = row[term]


@helper
def level(cluster: FloatArray, phase: int, x: IntArray) -> float:
    """Length of a phase (0 starting, 1 inner, 2 ending) without the server's part."""
    fixed, spectral = cluster[2 * phase], cluster[2 * phase + 1]
    top = 0.0
    for k in range(len(x)):
        value = fixed[k] + spectral[k] / x[k]
        if value > top:
            top = value
    return top


@helper
def cost_of(cluster: FloatArray, x: IntArray, inner_phases: int, server_s: float) -> float:
    """Seconds that a cluster takes: starting, `inner_phases` inner, and ending phase."""
    cost = level(cluster, 0, x) + server_s
    if inner_phases > 0:
        cost += inner_phases * (level(cluster, 1, x) + server_s)
    return cost + level(cluster, 2, x)


@helper
def _tied(cluster: FloatArray, phase: int, x: IntArray, marked: IntArray) -> int:
    """Mark the devices that hold up a phase and count them; 0 where more would not help them."""
    fixed, spectral = cluster[2 * phase], cluster[2 * phase + 1]
    top = level(cluster, phase, x)
    found = 0
    for k in range(len(x)):
        marked[k] = 0
        if fixed[k] + spectral[k] / x[k] == top:
            if spectral[k] == 0.0:
                return 0
            marked[k] = 1
            found += 1
    return found


@helper
def lower(cluster: FloatArray, phase: int, x: IntArray, spare: int, marked: IntArray) -> int:
    """Lower a phase to its next level: raise ALL devices tied at the top; return what is left.

    -1 where that takes more than `spare`, or where the level cannot fall; `x` stays then.
    """
    found = _tied(cluster, phase, x, marked)
    if found == 0 or found > spare:
        return -1
    for k in range(len(x)):
        x[k] += marked[k]
    return spare - found


@helper
def start_and_end(
    cluster: FloatArray,
    least: IntArray,
    subcarriers: int,
    cutoff: float,
    x: IntArray,
    floor: IntArray,
    best: IntArray,
) -> float:
    """Minimise the starting plus the ending phase over x >= least; infinite if that is too many.

    The answer is exact if it is below `cutoff`, and else a lower bound that is not below it.

    Two thresholds move monotonically. `x` starts with the shortest ending phase that the
    subcarriers allow. Then the starting phase falls from level to level, which lifts `floor`, what
    it needs of each device, and the ending phase rises by as much as that forces it to.
    """
    size = len(least)
    a, b, c, d = cluster[0], cluster[1], cluster[4], cluster[5]
    spare = subcarriers
    for k in range(size):
        spare -= least[k]
        x[k] = floor[k] = least[k]
    if spare < 0:
        return np.inf
    lowest = 0.0
    for k in range(size):
        lowest = max(lowest, a[k] + b[k] / (least[k] + spare))
    floor_spare = spare
    while spare >= 0:
        left = lower(cluster, 2, x, spare, best)
        if left < 0:
            break
        spare = left
    copy(x, best)
    found = np.inf
    while True:
        start, end = 0.0, 0.0
        for k in range(size):
            start = max(start, a[k] + b[k] / x[k])
            end = max(end, c[k] + d[k] / x[k])
        if start + end < found:
            found = start + end
            copy(x, best)
        if lowest + end >= min(found, cutoff):
            return min(found, lowest + end)
        for k in range(size):
            while a[k] + b[k] / floor[k] >= start:
                floor[k] += 1
                floor_spare -= 1
                if floor_spare < 0 or b[k] == 0.0:
                    return found
            if floor[k] > x[k]:
                spare -= floor[k] - x[k]
                x[k] = floor[k]
        while spare < 0:
            next_end = np.inf
            for k in range(size):
                if x[k] > floor[k]:
                    next_end = min(next_end, c[k] + d[k] / (x[k] - 1))
            for k in range(size):
                if x[k] > floor[k] and c[k] + d[k] / (x[k] - 1) <= next_end:
                    x[k] -= 1
                    spare += 1


@helper
def _inner_levels(
    cluster: FloatArray, x: IntArray, marked: IntArray, tops: FloatArray, work: IntArray
) -> int:
    """List the levels that the inner phase can have, from the longest down; return how many.

    Writes each level's seconds to `tops`, which has an entry for every spare subcarrier and one
    more, and what it needs of each device to the rows of `work` from `_NEEDS` on. `x` begins with
    one for each.
    """
    spare, levels = len(tops) - 1, 0
    while spare >= 0:
        copy(x, work[_NEEDS + levels, : len(x)])
        tops[levels] = level(cluster, 1, x)
        levels += 1
        spare = lower(cluster, 1, x, spare, marked)
    return levels


@helper
def exact(
    cluster: FloatArray,
    subcarriers: int,
    inner_phases: int,
    server_s: float,
    x: IntArray,
    work: IntArray,
) -> float:
    """Return the best subcarriers in `x` (K,) and the seconds they lead to.

    Without inner phases that is one call of `start_and_end`. With them, branch and bound over the
    levels that the inner phase can have: a range of levels costs at least its lowest inner phase
    plus the rest without being held to more than its highest one.

    Parameters
    ----------
    work
        Room for whole numbers, shape (>= 6 + subcarriers, K).
    """
    size = cluster.shape[1]
    trial, floor, least = work[0, :size], work[1, :size], work[2, :size]
    for k in range(size):
        least[k] = 1
    if inner_phases == 0:
        start_and_end(cluster, least, subcarriers, np.inf, trial, floor, x)
        return cost_of(cluster, x, 0, server_s)
    candidate, marked = work[3, :size], work[4, :size]
    tops = np.empty(subcarriers - size + 1)
    levels = _inner_levels(cluster, least, marked, tops, work)
    found = np.inf
    server = server_s + inner_phases * server_s
    ranges = np.empty((levels + 1, 2), dtype=np.int64)
    rest = np.empty(levels)
    # A range stands for the levels strictly between its ends; `first` is -1 until level 0, which
    # asks nothing of the inner phase, has an answer.
    waiting, first, last = 0, -1, levels
    while True:
        middle = (first + last) // 2 if first >= 0 else 0
        cutoff = found - server - inner_phases * tops[last - 1]
        needs = work[_NEEDS + middle, :size]
        rest[middle] = start_and_end(cluster, needs, subcarriers, cutoff, trial, floor, candidate)
        value = cost_of(cluster, candidate, inner_phases, server_s)
        if value < found:
            found = value
            copy(candidate, x)
        reached, far = level(cluster, 1, candidate), middle
        while far + 1 < levels and tops[far + 1] >= reached:
            far += 1  # the same answer is the best for these levels too
        rest[far] = rest[middle]
        if first >= 0:
            ranges[waiting, 0], ranges[waiting, 1] = first, middle
            waiting += 1
        ranges[waiting, 0], ranges[waiting, 1] = far, last
        waiting += 1
        # A lower bound of a range: its levels ask at least as much as `first`, so that the rest is
        # no shorter than there, and no inner phase in it is shorter than that of `last - 1`.
        open_range = False
        while waiting > 0 and not open_range:
            waiting -= 1
            first, last = ranges[waiting, 0], ranges[waiting, 1]
            if last - first >= 2:
                at_least = inner_phases * tops[last - 1] + rest[first] + server
                open_range = at_least < found
        if not open_range:
            return found


@helper
def greedy(
    cluster: FloatArray, subcarriers: int, inner_phases: int, server_s: float, x: IntArray
) -> float:
    """Alg. 3 of CPSL as printed: each subcarrier goes to whom it helps most, ties to the first."""
    size = len(x)
    for k in range(size):
        x[k] = 1
    for _ in range(subcarriers - size):
        now = cost_of(cluster, x, inner_phases, server_s)
        chosen, gain = 0, -np.inf
        for k in range(size):
            x[k] += 1
            saved = now - cost_of(cluster, x, inner_phases, server_s)
            x[k] -= 1
            if saved > gain:
                chosen, gain = k, saved
        x[chosen] += 1
    return cost_of(cluster, x, inner_phases, server_s)


@helper
def tie_safe_greedy(
    cluster: FloatArray,
    subcarriers: int,
    inner_phases: int,
    server_s: float,
    x: IntArray,
    work: IntArray,
) -> float:
    """Greedy over the sets of devices that hold up a phase together.

    A step raises all devices tied at the top of one phase, the phase for which that saves most per
    subcarrier; it ends when no such set fits or none saves anything.
    """
    size = len(x)
    marked, chosen = work[0, :size], work[1, :size]
    for k in range(size):
        x[k] = 1
    spare = subcarriers - size
    cost = cost_of(cluster, x, inner_phases, server_s)
    while True:
        gain, after, price = 0.0, cost, 0
        for phase in range(3):
            if phase == 1 and inner_phases == 0:
                continue
            tied = _tied(cluster, phase, x, marked)
            if tied == 0 or tied > spare:
                continue
            for k in range(size):
                x[k] += marked[k]
            value = cost_of(cluster, x, inner_phases, server_s)
            for k in range(size):
                x[k] -= marked[k]
            if (cost - value) / tied > gain:
                gain, after, price = (cost - value) / tied, value, tied
                copy(marked, chosen)
        if price == 0:
            return cost
        for k in range(size):
            x[k] += chosen[k]
        cost, spare = after, spare - price


@helper
def allocate(
    rule: int | None,
    cluster: FloatArray,
    subcarriers: int,
    inner_phases: int,
    server_s: float,
    x: IntArray,
    work: IntArray,
) -> float:
    """Share subcarriers by a rule (`GREEDY`, `TIE_SAFE`, `EXACT`); return the cluster's seconds.

    `server_s` is what the server computes for the whole cluster in a phase.
    """
    if rule is None:
        return exact(cluster, subcarriers, inner_phases, server_s, x, work)
    if rule == TIE_SAFE:
        return tie_safe_greedy(cluster, subcarriers, inner_phases, server_s, x, work)
    return greedy(cluster, subcarriers, inner_phases, server_s, x)


@compiled
def allocate_batch(
    sharing: Sharing,
    terms: FloatArray,
    members: IntArray,
    starts: IntArray,
    x: IntArray,
    costs: FloatArray,
) -> None:
    """Run `allocate` for clusters ``members[starts[i] : starts[i + 1]]`` of any sizes."""
    subcarriers = sharing.subcarriers
    largest = 0
    for i in range(len(starts) - 1):
        largest = max(largest, starts[i + 1] - starts[i])
    work = np.empty((6 + subcarriers, largest), dtype=np.int64)
    room = np.empty(6 * largest)
    for i in range(len(starts) - 1):
        begin, end = starts[i], starts[i + 1]
        size = end - begin
        cluster = room[: 6 * size].reshape((6, size))
        gather(terms, members[begin:end], cluster)
        costs[i] = allocate(
            sharing.rule,
            cluster,
            subcarriers,
            sharing.inner_phases,
            size * sharing.server_s_per_device,
            x[begin:end],
            work,
        )
