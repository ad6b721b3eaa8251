"""The first steps of a run that was given an old plan or old prices."""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import IntArray
from splitopt.problems.cut_and_resources import CutAndResources, CutAndResourcesDecision
from splitopt.results import StopReason
from splitopt.solvers.base import Search
from splitopt.solvers.cut_and_resources.warm.following import follow
from splitopt.solvers.cut_and_resources.warm.tables import WarmTables


def old_cuts(search: Search) -> IntArray | None:
    """Return the cuts (N,), 1..L, of the decision to start from, None without one."""
    start = search.start
    return start.cut if isinstance(start, CutAndResourcesDecision) else None


def follow_old(problem: CutAndResources, search: Search, most: int) -> StopReason | None:
    """Propose what follows from a run's start, prove what its prices prove; None to go on.

    Parameters
    ----------
    problem, search
        A plain problem, and the run.
    most
        Devices times cuts of which tables are made; of more, and with budgets or by group, the
        old cuts are only offered, with the best shares.
    """
    start = old_cuts(search)
    if problem.by_group and search.start is not None:
        search.propose(search.start)
        return search.stop()
    if start is None and (search.prices is None or problem.by_group):
        return None
    if problem.budgets is not None or problem.devices * problem.layers > most:
        if start is not None and problem.permits(start).all():
            search.propose(problem.complete(start))
        return search.stop()
    tables = WarmTables.of(problem)
    found = follow(
        tables,
        np.full(problem.devices, -1) if start is None else start - 1,
        search.prices,
        goal=search.rel_gap,
        halt=lambda: search.remaining_s <= 0,
    )
    search.iterations += found.passes
    search.prove(found.bound)
    search.details["prices"] = found.prices.tolist()
    search.details["nodes"] = 0
    search.propose(problem.complete(found.cuts + 1))
    return search.stop()
