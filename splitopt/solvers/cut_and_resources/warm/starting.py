"""The first steps of a run that was given an old plan or old prices."""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import IntArray
from splitopt.problems.cut_and_resources import CutAndResources, CutAndResourcesDecision
from splitopt.results import StopReason
from splitopt.solvers.base import Search
from splitopt.solvers.cut_and_resources.warm.following import follow
from splitopt.solvers.cut_and_resources.warm.tables import SMALL, WarmTables


def old_cuts(search: Search) -> IntArray | None:
    """Return the cuts (N,), 1..L, of the decision to start from, None without one."""
    start = search.start
    return start.cut if isinstance(start, CutAndResourcesDecision) else None


def load_following(problem: CutAndResources) -> None:
    """Compile what following a plan of this problem runs, on a fleet of two devices."""
    if problem.devices * problem.layers <= SMALL:
        return
    shared, here = len(problem.resources), np.ones(2, dtype=np.int64)
    tables = WarmTables(problem.objective, np.ones((2, 2, shared)), np.ones((2, 2)), here)
    tables.__dict__["is_small"] = False  # as the tables of the problem are
    for prices in (None, np.ones(shared)):
        follow(tables, np.zeros(2, dtype=np.int64), prices)


def follow_old(problem: CutAndResources, search: Search, most: int) -> StopReason | None:
    """Propose what follows from a run's start, prove what its prices prove; None to go on.

    Parameters
    ----------
    problem, search
        A plain problem, and the run.
    most
        Devices times cuts of which tables are made. Of more, and with budgets or by group, nothing
        follows: the old cuts are an offer with their best shares (`Solver.begin`), and old prices
        are where the relaxation starts.
    """
    start = old_cuts(search)
    small = problem.devices * problem.layers <= most and problem.budgets is None
    if problem.by_group or not small or (start is None and search.prices is None):
        return search.stop() if search.best is not None else None
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
