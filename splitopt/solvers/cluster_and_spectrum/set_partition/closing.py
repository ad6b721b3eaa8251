"""From the relaxation to the optimum: all clusters that may be in it, and the best of their covers.

With prices y and a value reached U, a cluster whose reduced cost is above the least one of its size
by more than U minus the bound is in no better partition. Where the others can be listed, a
depth-first search over exact covers proves the optimum (reduced-cost search); where they cannot,
HiGHS looks for better partitions among the clusters that are known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from splitopt.problems.base import IntArray
from splitopt.solvers.backends.highs import silent_highs
from splitopt.solvers.cluster_and_spectrum.set_partition.columns import Columns, Duals
from splitopt.solvers.cluster_and_spectrum.set_partition.covers import CoverSearch
from splitopt.solvers.cluster_and_spectrum.set_partition.pools import list_pool
from splitopt.solvers.cluster_and_spectrum.set_partition.pricing import Pricer
from splitopt.solvers.cluster_and_spectrum.set_partition.triples import PricedCuts

MOST_DEVICES = 62
"""A set of devices is a number of 63 bits."""
_SLACK = 1e-9
"""How far, relatively, clusters beyond the limit are listed as well, so that no tie is lost."""


def cheapest_partition(
    pricer: Pricer,
    duals: Duals,
    bound: float,
    reached: float,
    max_listed: int,
    stop: Callable[[], bool],
) -> tuple[list[IntArray] | None, bool]:
    """Search all partitions that may be better than the one that is known.

    Parameters
    ----------
    duals, bound
        Prices, and the bound in s that they prove.
    reached
        The value in s of a known partition.
    max_listed
        Give up where more clusters of one size would have to be listed.
    stop
        Asked now and then whether to give up.

    Returns
    -------
    The clusters of a better partition, None if none was found, and whether the search was complete.
    """
    if pricer.problem.devices > MOST_DEVICES:
        return None, False
    slack = reached - bound + _SLACK * abs(reached)
    cuts = PricedCuts(duals.device, np.zeros((0, 3), dtype=np.int64), np.zeros(0))
    least = {size: pricer.price(duals.device, size).bound for size in pricer.count_of}
    limits = {size: value + slack for size, value in least.items()}
    listed = list_pool(pricer, cuts, limits, max_listed, stop)
    if listed is None:
        return None, False
    pool, _ = listed
    excess = [
        np.maximum(part - low, 0.0)
        for part, low in zip(pool.reduced(cuts), least.values(), strict=True)
    ]
    covers = CoverSearch(pricer, pool.members, pool.seconds, excess, bound)
    searched = covers.search(slack, reached, 2**62, stop)
    return searched.clusters, searched.complete


def partition_by_highs(
    pricer: Pricer, columns: Columns, duals: Duals, slack: float, unit_s: float, time_limit_s: float
) -> list[IntArray] | None:
    """Search for a better partition among the known columns whose reduced cost allows it."""
    import highspy

    prices = np.array([duals.device[members].sum() for members in columns.clusters])
    reduced = np.array(columns.seconds) - prices
    reduced -= np.array([duals.size[len(members)] for members in columns.clusters])
    kept = np.flatnonzero(reduced <= slack)
    highs: Any = silent_highs()
    for option, value in (("parallel", "off"), ("time_limit", float(time_limit_s))):
        highs.setOptionValue(option, value)
    devices, sizes = pricer.problem.devices, list(pricer.count_of)
    sides = np.concatenate((np.ones(devices), [pricer.count_of[size] for size in sizes]))
    empty = np.zeros(0, dtype=np.int32)
    highs.addRows(len(sides), sides, sides, 0, np.zeros(len(sides), np.int32), empty, np.zeros(0))
    rows = [
        np.append(columns.clusters[k], devices + sizes.index(len(columns.clusters[k])))
        for k in kept
    ]
    starts = np.concatenate(([0], np.cumsum([len(row) for row in rows])[:-1])).astype(np.int32)
    index = np.concatenate(rows).astype(np.int32)
    costs, count = np.array(columns.seconds)[kept] / unit_s, len(kept)
    highs.addCols(
        count,
        costs,
        np.zeros(count),
        np.ones(count),
        len(index),
        starts,
        index,
        np.ones(len(index)),
    )
    every = np.arange(count, dtype=np.int32)
    whole = np.full(count, highspy.HighsVarType.kInteger)
    highs.changeColsIntegrality(count, every, whole)
    highs.run()
    if highs.getInfo().primal_solution_status != 2:  # no feasible point
        return None
    values = np.array(highs.getSolution().col_value)
    return [columns.clusters[k] for k in kept[values > 0.5]]
