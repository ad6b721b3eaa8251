"""Go through all counts that are left at a node, where they are few enough."""

from __future__ import annotations

import itertools
import math

import numpy as np

from splitopt.problems.base import IntArray
from splitopt.solvers.cut_and_resources.exact.pricing import Limits
from splitopt.solvers.cut_and_resources.exact.space import Space
from splitopt.solvers.cut_and_resources.relaxation.measures import Measure

_OPTIONS = 4096
"""A row with more possible counts than this is not listed."""


def best_of_all(
    space: Space, limits: Limits, measure: Measure, most: int
) -> tuple[IntArray, float] | None:
    """Return the counts (T, W) of the smallest measure within the rows' limits, and its value.

    None if there are more than `most` vectors of counts. Limits on groups are ignored, which can
    only find something better.
    """
    sizes = _sizes(space, limits)
    if math.prod(sizes) > most:
        return None
    options = [
        _options(limits.low[t], limits.high[t], int(space.count[t])) for t in range(len(sizes))
    ]
    totals = space.fixed[None]
    for row, choices in enumerate(options):
        totals = (totals[:, None] + choices @ space.vector[row]).reshape(-1, totals.shape[1])
    index, value = measure.smallest(totals)
    used = []
    for choices in reversed(options):  # by hand: numpy has no more than 64 dimensions
        index, i = divmod(index, len(choices))
        used.append(choices[i])
    return np.array(used[::-1]).reshape(space.shape), value


def _sizes(space: Space, limits: Limits) -> list[int]:
    """At least as many as each row has possible counts."""
    room = limits.high - limits.low
    missing = space.count - limits.low.sum(axis=1)
    found = []
    for t in range(space.shape[0]):
        open_cuts = int((room[t] > 0).sum())
        left = int(missing[t])
        found.append(math.comb(left + open_cuts - 1, left) if open_cuts else 1)
    return found


def _options(low: IntArray, high: IntArray, count: int) -> IntArray:
    """All counts (O, W) of one row within its limits."""
    missing = count - int(low.sum())
    open_cuts = np.flatnonzero(high > low)
    listed = []
    for picks in itertools.combinations_with_replacement(open_cuts.tolist(), missing):
        more = np.bincount(picks, minlength=len(low)) if picks else np.zeros_like(low)
        if (low + more <= high).all():
            listed.append(low + more)
    return np.array(listed)
