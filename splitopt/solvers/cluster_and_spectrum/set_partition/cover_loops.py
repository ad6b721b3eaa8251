"""Exact covers by depth-first search, compiled: the cheapest partition into listed clusters."""

from __future__ import annotations

from typing import NamedTuple

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.compiling import compiled

WORD = 63
"""Devices in a word of a set."""


class Covers(NamedTuple):
    """Listed clusters, grouped by their lowest rank; costs rise within a group.

    Parameters
    ----------
    masks
        Shape (F, W): devices of each cluster as bits of their ranks, `WORD` in a word.
    full
        Shape (W,): the set of all devices.
    costs, seconds, kind
        Shape (F,): a lower bound >= 0 on what a cluster adds to `base`, what it takes, and the
        number of its size.
    begin
        Shape (N + 1,): where each group begins.
    base
        A cover takes at least this plus the sum of its costs, in s as `seconds` are.
    """

    masks: IntArray
    full: IntArray
    costs: FloatArray
    seconds: FloatArray
    kind: IntArray
    begin: IntArray
    base: float


class CoverPath(NamedTuple):
    """Where the search stands, so that it can go on later; a row or an entry for each depth."""

    place: IntArray
    end: IntArray
    used: IntArray
    spent: FloatArray
    taken_s: FloatArray
    remaining: IntArray
    """Shape (sizes,): how many clusters of each size a cover still lacks."""
    best: IntArray
    """The clusters of the best cover."""


@compiled
def search_covers(
    covers: Covers, path: CoverPath, depth: int, limit: float, reached: float, steps: int
) -> tuple[int, float, float, int]:
    """Search for covers whose costs add up to less than `limit` that take less than `reached`.

    Costs only rule out: what a cover takes is the sum of its seconds. Where one takes less than
    all before it, better ones cost less than it takes beyond the base.

    Parameters
    ----------
    depth
        Where to go on, with `path`.
    steps
        Stop after so many clusters were looked at.

    Returns
    -------
    The depth, -1 if the search is complete; the limit; what the best cover takes; how many clusters
    it has, 0 if none was found in this call.
    """
    words, count = covers.masks.shape[1], 0
    while depth >= 0 and steps > 0:
        steps -= 1
        place = path.place[depth]
        if place >= path.end[depth] or path.spent[depth] + covers.costs[place] >= limit:
            depth -= 1
            if depth >= 0:
                path.remaining[covers.kind[path.place[depth]]] += 1
                path.place[depth] += 1
            continue
        free = path.remaining[covers.kind[place]] > 0
        for w in range(words):
            free = free and covers.masks[place, w] & path.used[depth, w] == 0
        if not free:
            path.place[depth] += 1
            continue
        complete, rank = True, -1
        for w in range(words):
            taken = path.used[depth, w] | covers.masks[place, w]
            path.used[depth + 1, w] = taken
            if complete and taken != covers.full[w]:
                complete, rank = False, 63 * w
                while taken & 1:
                    taken >>= 1
                    rank += 1
        takes = path.taken_s[depth] + covers.seconds[place]
        if complete:
            if takes < reached:
                reached, count = takes, depth + 1
                limit = min(limit, takes - covers.base)
                for k in range(count):
                    path.best[k] = path.place[k]
            path.place[depth] += 1
            continue
        path.remaining[covers.kind[place]] -= 1
        path.spent[depth + 1] = path.spent[depth] + covers.costs[place]
        path.taken_s[depth + 1] = takes
        depth += 1
        path.place[depth], path.end[depth] = covers.begin[rank], covers.begin[rank + 1]
    return depth, limit, reached, count
