"""Large fleets: the root phase block by block, and a plan from it that is optimal or nearly so."""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.cut_and_resources.bulk import Bulk
from splitopt.problems.cut_and_resources.bulk_makespan import bulk_makespan_root
from splitopt.problems.cut_and_resources.bulk_root import BulkRoot
from splitopt.problems.cut_and_resources.bulk_sum import bulk_sum_root
from splitopt.results import StopReason
from splitopt.solvers.base import Search


def solve_large(
    problem: CutAndResources,
    bulk: Bulk,
    search: Search,
    tolerance: float,
    prices: FloatArray | None,
) -> StopReason | None:
    """Prove a bound and propose a plan; give the reason to stop, None if a gap is left.

    Parameters
    ----------
    problem, bulk
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
        search.propose(problem.complete(_fastest(bulk)))
        return search.stop()
    solve = bulk_sum_root if problem.objective == "sum" else bulk_makespan_root
    root = solve(bulk, 0.3 * tolerance, watch, prices)
    search.prove(root.bound)
    search.details["prices"] = root.prices.tolist()
    search.details["nodes"] = 0
    search.propose(problem.complete(bulk.expand(root.columns, rounded(bulk, root))))
    search.details["root_gap"] = search.gap
    return search.stop()


def rounded(bulk: Bulk, root: BulkRoot) -> IntArray:
    """Round a mixture: how many devices (M, C) of each class use each of M vectors of cuts.

    Along a list of the classes, those that choose between the same cuts and resemble each other
    together, every vector is given what is due to it so far, to the nearest device: the totals
    stay near the mean.
    """
    columns, weights = root.columns, root.weights
    parts = np.zeros((len(columns), bulk.classes), dtype=np.int64)
    parts[0] = bulk.count
    if len(columns) == 1:
        return parts
    order = _alike(bulk, np.array(columns))
    left = bulk.count[order]
    for place in range(len(columns) - 1):
        due = np.cumsum(left * (weights[place] / weights[place:].sum()))
        given = np.diff(np.floor(due + 0.5), prepend=0.0).astype(np.int64)
        parts[place, order] = np.minimum(given, left)
        left = left - parts[place, order]
    parts[-1, order] = left
    return parts


def _alike(bulk: Bulk, table: IntArray) -> IntArray:
    """List the classes whose cuts (M, C) are mixed, those that resemble each other together."""
    mixed = np.flatnonzero((table != table[0]).any(axis=0))
    size = np.empty(bulk.classes)
    for rows, block in bulk.blocks():
        index = np.arange(block.shape[2])
        size[rows] = block[:3, table[0, rows], index].sum(axis=0)
    return np.asarray(mixed[np.lexsort((size[mixed], *table[:, mixed]))])


def _fastest(bulk: Bulk) -> IntArray:
    """Give every device the cut (N,) that is fastest for it alone."""
    cuts = np.empty(bulk.classes, dtype=np.int64)
    for rows, block in bulk.blocks():
        alone = block[0] ** 2 + block[1] ** 2 + block[2] ** 2 + block[3]
        cuts[rows] = alone.argmin(axis=0)
    return bulk.expand([cuts], bulk.count[None])
