"""Compiled passes over many clusters: listing all cheap ones, and their reduced costs with cuts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cluster_and_spectrum.loops import copy, exact, gather, start_and_end
from splitopt.problems.compiling import compiled, helper

_SAFE = 1 - 1e-12
"""What rounding may take off a lower bound."""


class CutTerms(NamedTuple):
    """Cuts on triples as the loops look them up.

    Parameters
    ----------
    pairs
        Shape (N, N): the sum of sigma over the cuts that hold both devices.
    starts, thirds, sigma
        The cuts of the pair (p, q) have their third devices, and their sigma, from
        ``starts[p * N + q]`` to before ``starts[p * N + q + 1]``.
    """

    pairs: FloatArray
    starts: IntArray
    thirds: IntArray
    sigma: FloatArray


class ListRequest(NamedTuple):
    """What is to be listed.

    Parameters
    ----------
    terms
        Shape (N, 6), without the server's part.
    order, prices, sums
        The devices by falling price, their prices in this order, and sums of the first ones:
        shapes (N,), (N,), (N + 1,).
    cuts
        Of the devices by their own numbers.
    limit
        Clusters with reduced costs below it are listed.
    subcarriers, inner_phases
        Of a cluster.
    """

    terms: FloatArray
    order: IntArray
    prices: FloatArray
    sums: FloatArray
    cuts: CutTerms
    limit: float
    subcarriers: int
    inner_phases: int


class Path(NamedTuple):
    """Where the search stands, so that it can go on later: depth first over positions in `order`.

    Parameters
    ----------
    place
        Shape (K,): the position at each depth.
    least, penalty, worth
        Shape (K + 1,): of the devices above each depth, a lower bound on their seconds, what the
        cuts add, and the sum of their prices.
    """

    place: IntArray
    least: FloatArray
    penalty: FloatArray
    worth: FloatArray


@helper
def added_penalty(cuts: CutTerms, members: IntArray, count: int, device: int) -> float:
    """Return what the cuts add to the reduced cost of `count` members where a device joins them."""
    devices, total = cuts.pairs.shape[0], 0.0
    for a in range(count):
        pair = members[a] * devices + device
        total += cuts.pairs[members[a], device]
        for entry in range(cuts.starts[pair], cuts.starts[pair + 1]):
            for b in range(a + 1, count):
                if members[b] == cuts.thirds[entry]:
                    total -= 2 * cuts.sigma[entry]
    return total


@helper
def phase_floor(cluster: FloatArray, phase: int, subcarriers: int) -> float:
    """Return a lower bound on the length of a phase where subcarriers may be parts of whole ones.

    That length is the T with ``sum spectral / (T - fixed) = subcarriers``. The sum falls with T and
    is convex, so that Newton's steps from a T that is too short stay too short.
    """
    fixed, spectral = cluster[2 * phase], cluster[2 * phase + 1]
    most, length = subcarriers - len(fixed) + 1, 0.0
    for k in range(len(fixed)):
        length = max(length, fixed[k] + spectral[k] / most)
    for _ in range(3):
        needs, slope = 0.0, 0.0
        for k in range(len(fixed)):
            if spectral[k] > 0.0:
                share = spectral[k] / (length - fixed[k])
                needs += share
                slope += share * share / spectral[k]
        if needs <= subcarriers:
            break
        length += (needs - subcarriers) / slope
    return length


@helper
def seconds_floor(cluster: FloatArray, subcarriers: int, inner_phases: int) -> float:
    """Return a lower bound on a cluster's seconds, phase by phase."""
    total = 0.0
    for phase in (0, 2, 1):
        often = inner_phases if phase == 1 else 1
        if often > 0:
            total += often * phase_floor(cluster, phase, subcarriers)
    return total * _SAFE


class Room(NamedTuple):
    """What a cluster of at most K devices is priced in.

    Parameters
    ----------
    members, ones, x, floor, best
        Shape (K,).
    numbers, work
        Shapes (6 K,) and (6 + subcarriers, K).
    """

    members: IntArray
    ones: IntArray
    x: IntArray
    floor: IntArray
    best: IntArray
    numbers: FloatArray
    work: IntArray


def room_for(size: int, subcarriers: int) -> Room:
    """Return room for clusters of `size` devices that share so many subcarriers."""
    members, x, floor, best = (np.empty(size, np.int64) for _ in range(4))
    work = np.empty((6 + subcarriers, size), np.int64)
    return Room(members, np.ones(size, np.int64), x, floor, best, np.empty(6 * size), work)


@helper
def cluster_seconds(
    request: ListRequest, room: Room, chosen: int, subcarriers: int, cutoff: float
) -> float:
    """Return the seconds of the first `chosen` members; a lower bound where that is `cutoff`."""
    cluster = room.numbers[: 6 * chosen].reshape((6, chosen))
    gather(request.terms, room.members[:chosen], cluster)
    floor_s = seconds_floor(cluster, subcarriers, request.inner_phases)
    if floor_s >= cutoff:
        return floor_s
    x = room.x[:chosen]
    if request.inner_phases > 0:
        return exact(cluster, subcarriers, request.inner_phases, 0.0, x, room.work)
    return start_and_end(
        cluster,
        room.ones[:chosen],
        subcarriers,
        cutoff,
        x,
        room.floor[:chosen],
        room.best[:chosen],
    )


@helper
def most_worth(request: ListRequest, path: Path, depth: int, size: int) -> float:
    """Return what K devices can be worth with the next one at `depth`, ``-inf`` without K."""
    position, need = path.place[depth], size - depth - 1
    if position + need >= len(request.order):
        return -np.inf
    others = request.sums[position + need + 1] - request.sums[position]
    return float(path.worth[depth] + others)


@compiled
def list_cheap(
    request: ListRequest,
    path: Path,
    room: Room,
    depth: int,
    budget: int,
    count: int,
    found: IntArray,
    seconds: FloatArray,
) -> tuple[int, int, int]:
    """List the clusters of K devices with reduced costs below a limit, depth first.

    With k of K devices chosen, the others have at least one subcarrier each, so that the k take at
    least what they take with the rest of the subcarriers; more devices make a cluster no faster,
    and no cut's penalty smaller. The others are worth at most the next prices.

    Parameters
    ----------
    path, depth
        Where to go on; zeros and 0 to begin.
    room
        See `room_for`.
    budget
        Stop after so many allocations.
    count, found, seconds
        So many clusters are already in `found` (F, K); the loop stops when it is full.

    Returns
    -------
    The depth, -1 if all are listed; how many clusters are in `found`; allocations that are left.
    """
    size, limit = found.shape[1], request.limit
    for k in range(depth):
        room.members[k] = request.order[path.place[k]]
    while depth >= 0 and budget > 0 and count < len(found):
        worth = most_worth(request, path, depth, size)
        if path.least[depth] + path.penalty[depth] - worth >= limit:
            depth -= 1  # nor is any later device worth more
            if depth >= 0:
                path.place[depth] += 1
            continue
        device = request.order[path.place[depth]]
        room.members[depth] = device
        penalty = path.penalty[depth] + added_penalty(request.cuts, room.members, depth, device)
        cutoff = limit + worth - penalty
        cost, chosen = path.least[depth], depth + 1
        if cost < cutoff:
            budget -= 1
            need = size - chosen
            cost = cluster_seconds(request, room, chosen, request.subcarriers - need, cutoff)
        if cost >= cutoff:
            path.place[depth] += 1
        elif chosen == size:
            copy(room.members, found[count])
            seconds[count] = cost
            count += 1
            path.place[depth] += 1
        else:
            path.least[chosen], path.penalty[chosen] = cost, penalty
            path.worth[chosen] = path.worth[depth] + request.prices[path.place[depth]]
            path.place[chosen] = path.place[depth] + 1
            depth = chosen
    return depth, count, budget


@compiled
def reduce_all(
    members: IntArray, seconds: FloatArray, prices: FloatArray, cuts: CutTerms, reduced: FloatArray
) -> None:
    """Write the reduced costs of clusters (F, K): seconds less prices, and what the cuts add."""
    size = members.shape[1]
    cluster = np.empty(size, np.int64)
    for i in range(len(members)):
        value = seconds[i]
        for k in range(size):
            cluster[k] = members[i, k]
            value -= prices[cluster[k]]
        if len(cuts.sigma) > 0:
            for k in range(1, size):
                value += added_penalty(cuts, cluster, k, cluster[k])
        reduced[i] = value
