"""Cuts within all budgets: by repair, else by a search that proves whether there are any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.solvers.cut_and_resources.exact.space import Space
from splitopt.solvers.cut_and_resources.exact.tree import Tree
from splitopt.solvers.cut_and_resources.relaxation.budget_measure import BudgetMeasure, NoMeasure
from splitopt.solvers.cut_and_resources.relaxation.fleet import Fleet
from splitopt.solvers.cut_and_resources.repair import repaired

_WITHIN = 1e-11
"""An excess over budgets, relative to them, that is more than rounding."""


def within_budgets(
    problem: CutAndResources,
    fleet: Fleet,
    cuts: Any,
    max_listed: int,
    halt: Callable[[], bool],
) -> Any:
    """Return cuts (N,), 1..L, that keep all budgets, near some cuts where that is easy.

    Parameters
    ----------
    problem, fleet
        A plain problem with budgets, and its devices.
    cuts
        Shape (N,): where to start.
    max_listed
        A node of the search with at most so many plans is settled by going through them.
    halt
        Whether to stop.

    Returns
    -------
    None if there are no such cuts, or the search was stopped.
    """
    cost = np.where(np.isfinite(fleet.device_s), fleet.alone(), np.inf)[fleet.member]
    if (found := repaired(problem, cuts, cost)) is not None or fleet.use is None:
        return found
    space = _everything(fleet, fleet.use)
    kept: list[Any] = []

    def offer(used: IntArray) -> bool:
        candidate = fleet.cuts(space.counts(used))
        if problem.budgets is not None and not problem.budgets.violations(candidate):
            kept.append(candidate)
        return bool(kept)

    measure = BudgetMeasure(NoMeasure(), np.ones(fleet.use.shape[2]))
    tree = Tree(space, measure, _WITHIN, max_listed, offer, lambda: bool(kept) or halt())
    tree.open((), np.full(fleet.use.shape[2], 0.5))
    while tree.heap and not kept and not halt():
        tree.expand()
    return kept[0] if kept else None


def _everything(fleet: Fleet, use: FloatArray) -> Space:
    """Return the space in which nothing is decided and only the use of budgets counts."""
    usable = np.isfinite(fleet.device_s)
    width = int(usable.sum(axis=1).max())
    cut = np.argsort(~usable, axis=1, kind="stable")[:, :width]
    rows = np.arange(fleet.classes)[:, None]
    high = np.where(usable[rows, cut], fleet.count[:, None], 0)
    fixed, decided = np.zeros(use.shape[2]), np.zeros_like(usable, dtype=np.int64)
    owner = np.arange(fleet.classes)
    return Space(owner, cut, use[rows, cut], high, fleet.count, fixed, decided, [])
