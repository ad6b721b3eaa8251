"""The compiled loop that swaps two devices of two clusters again and again.

Only the two clusters change, so that an iteration costs the same however many devices there are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cluster_and_spectrum.loops import (
    Sharing,
    allocate,
    copy,
    gather,
)
from splitopt.problems.compiling import compiled, helper


class Partition(NamedTuple):
    """The state that is changed in place: clusters that stand in one array, one after the other.

    Parameters
    ----------
    starts
        Shape (M + 1,): where each cluster begins among the members, and the end.
    members, best
        Shape (N,): the clusters' members now, and where to write the best state.
    costs
        Shape (M,): the clusters' seconds now.
    """

    starts: IntArray
    members: IntArray
    costs: FloatArray
    best: IntArray


class Trials(NamedTuple):
    """Swaps to try.

    Parameters
    ----------
    moves
        Shape (I, 4): two different clusters, and a position among the members in each.
    allowances
        Shape (I,): a swap is taken if the seconds rise by less.
    """

    moves: IntArray
    allowances: FloatArray


@helper
def total_of(costs: FloatArray) -> float:
    """Add numbers up in their order."""
    total = 0.0
    for cost in costs:
        total += cost
    return total


@compiled
def swap_many(
    sharing: Sharing,
    naive: bool,
    terms: FloatArray,
    state: Partition,
    trials: Trials,
    least: float,
) -> float:
    """Try swaps one after the other; take those that cost less than their allowance more.

    Parameters
    ----------
    sharing, terms
        As in `loops.allocate_batch`.
    naive
        Price all clusters anew in every iteration, as CPSL's Alg. 4 is printed.
    least
        The best state is written if it beats this.

    Returns
    -------
    The seconds of the best state, or `least` if no state beats it.
    """
    starts, members, costs = state.starts, state.members, state.costs
    moves = trials.moves
    rule, subcarriers, inner_phases, server_s_per_device = sharing
    longest = 0
    for m in range(len(starts) - 1):
        longest = max(longest, starts[m + 1] - starts[m])
    x = np.empty(len(members), dtype=np.int64)
    work = np.empty((6 + subcarriers, longest), dtype=np.int64)
    room = np.empty(6 * longest)
    anew = np.empty(len(costs))
    journal = np.empty(len(moves), dtype=np.int64)
    undo = -1
    total = total_of(costs)
    for i in range(len(moves)):
        m, n, p, q = moves[i]
        members[p], members[q] = members[q], members[p]
        change = 0.0
        for turn in range(len(costs) if naive else 2):
            c = m if turn == 0 else n
            if naive:
                c = turn
            begin, end = starts[c], starts[c + 1]
            size = end - begin
            cluster = room[: 6 * size].reshape((6, size))
            gather(terms, members[begin:end], cluster)
            server_s = size * server_s_per_device
            anew[c] = allocate(
                rule, cluster, subcarriers, inner_phases, server_s, x[begin:end], work
            )
            change += anew[c] - costs[c]
        if naive:
            change = total_of(anew) - total
        if change >= trials.allowances[i]:
            members[p], members[q] = members[q], members[p]
            continue
        costs[m], costs[n] = anew[m], anew[n]
        total = total_of(costs) if naive else total + change
        if total < least:
            least, undo = total, 0
        elif undo >= 0:  # the best state is where the swaps since then are undone
            journal[undo] = i
            undo += 1
    if undo >= 0:
        copy(members, state.best)
        for k in range(undo - 1, -1, -1):
            p, q = moves[journal[k], 2], moves[journal[k], 3]
            state.best[p], state.best[q] = state.best[q], state.best[p]
    return least
