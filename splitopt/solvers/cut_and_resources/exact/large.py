"""Large fleets: the root phase block by block, and a plan from it that is optimal or nearly so."""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.results import StopReason
from splitopt.solvers.base import Search
from splitopt.solvers.cut_and_resources.relaxation.large_fleet import LargeFleet
from splitopt.solvers.cut_and_resources.relaxation.large_makespan import large_makespan_root
from splitopt.solvers.cut_and_resources.relaxation.large_sum import large_sum_root
from splitopt.solvers.cut_and_resources.relaxation.simplicial import Root


def solve_large(
    problem: CutAndResources,
    large: LargeFleet,
    search: Search,
    tolerance: float,
    prices: FloatArray | None,
) -> StopReason | None:
    """Prove a bound and propose a plan; return the reason to stop, None if a gap is left.

    Parameters
    ----------
    problem, large
        The plain problem, and its devices.
    search
        Takes bounds and plans.
    tolerance
        The relative gap to aim for.
    prices
        Prices to start from, shape (3,), as reported for a similar problem.
    """

    def watch(bound: float, passes: int) -> bool:
        search.iterations += passes
        search.prove(bound)
        return search.stop() is not None

    if search.stop() is not None:
        search.propose(problem.complete(_fastest(large)))
        return search.stop()
    solve = large_sum_root if problem.objective == "sum" else large_makespan_root
    root = solve(large, 0.3 * tolerance, watch, prices)
    search.prove(root.bound)
    search.details["prices"] = root.warm_start.tolist()
    search.details["nodes"] = 0
    search.propose(problem.complete(large.expand(root.columns, rounded(large, root))))
    search.details["root_gap"] = search.gap
    return search.stop()


def rounded(large: LargeFleet, root: Root) -> IntArray:
    """Round a mixture: how many devices (M, C) of each class use each of M vectors of cuts.

    Along a list of the classes, those that choose between the same cuts and resemble each other
    together, every vector is given what is due to it so far, to the nearest device: the totals
    stay near the mean.
    """
    columns, weights = root.columns, root.weights
    parts = np.zeros((len(columns), large.classes), dtype=np.int64)
    parts[0] = large.count
    if len(columns) == 1:
        return parts
    order = _alike(large, np.array(columns))
    left = large.count[order]
    for place in range(len(columns) - 1):
        due = np.cumsum(left * (weights[place] / weights[place:].sum()))
        given = np.diff(np.floor(due + 0.5), prepend=0.0).astype(np.int64)
        parts[place, order] = np.minimum(given, left)
        left = left - parts[place, order]
    parts[-1, order] = left
    return parts


def _alike(large: LargeFleet, table: IntArray) -> IntArray:
    """List the classes whose cuts (M, C) are mixed, those that resemble each other together."""
    mixed = np.flatnonzero((table != table[0]).any(axis=0))
    size = np.empty(large.classes)
    for rows, block in large.blocks():
        index = np.arange(block.shape[2])
        size[rows] = block[:3, table[0, rows], index].sum(axis=0)
    return np.asarray(mixed[np.lexsort((size[mixed], *table[:, mixed]))])


def _fastest(large: LargeFleet) -> Any:
    """Return every device the cut (N,) that is fastest for it alone."""
    cuts = np.empty(large.classes, dtype=np.int64)
    for rows, block in large.blocks():
        alone = block[0] ** 2 + block[1] ** 2 + block[2] ** 2 + block[3]
        cuts[rows] = alone.argmin(axis=0)
    return large.expand([cuts], large.count[None])
