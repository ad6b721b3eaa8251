"""The devices of a problem grouped into classes of identical ones.

With budgets, the cuts that no plan within them can have are left out.
"""

from __future__ import annotations

import numpy as np

from splitopt.errors import InfeasibleError
from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.cut_and_resources.grouped import GroupedCutAndResources
from splitopt.problems.cut_and_resources.problem import ChoicesAndResources
from splitopt.solvers.cut_and_resources.relaxation.fleet import Fleet
from splitopt.solvers.cut_and_resources.relaxation.large_fleet import LargeFleet
from splitopt.solvers.cut_and_resources.relaxation.layout import CUTS, Layout
from splitopt.solvers.cut_and_resources.relaxation.merging import merged_rows

SLACK = 1e-12
"""How much more than its room a budget may seem to be used by rounding; the room itself is 1e-9
wider than the limit, so that no decision that counts as feasible is lost."""


def in_tables(problem: CutAndResources) -> bool:
    """Report whether a problem's devices are held in tables only, and never block by block."""
    by_table = problem.budgets is not None or problem.robust
    return by_table or isinstance(problem, ChoicesAndResources)


def fleet_of(problem: CutAndResources) -> Fleet:
    """Group the devices of a plain problem whose allowed cuts cost exactly the same.

    Raises
    ------
    InfeasibleError
        No cuts keep all budgets.
    """
    if problem.budgets is not None:
        return budget_fleet(problem)
    if isinstance(problem, ChoicesAndResources):
        seconds, usable, count = problem.device_classes()
        return _merged(problem, seconds, usable, count)
    return LargeFleet.of(problem).fleet()


def budget_fleet(problem: CutAndResources) -> Fleet:
    """Group the devices of a plain problem with budgets.

    A cut is dropped if a budget is exceeded although everybody else takes what uses least of it,
    and a budget if it cannot be exceeded at all.

    Raises
    ------
    InfeasibleError
        A device has no cut left, so that no cuts keep all budgets.
    """
    budgets = problem.budgets
    assert budgets is not None
    seconds, usable, count = problem.device_classes()
    use = budgets.use if len(count) < problem.devices else budgets.table()
    room = budgets.room
    for _ in range(4):
        least = np.where(usable[:, :, None], use, np.inf).min(axis=1)
        if not np.isfinite(least).all() or (count @ least > room * (1 + SLACK)).any():
            raise InfeasibleError(problem.over_budgets())
        left = room * (1 + SLACK) - count @ least
        kept = usable & (use - least[:, None] <= left).all(axis=2)
        if (kept == usable).all():
            break
        usable = kept
    if not usable.any(axis=1).all():
        raise InfeasibleError(problem.over_budgets())
    most = count @ np.where(usable[:, :, None], use, 0.0).max(axis=1)
    tight = most > room
    names = tuple(name for name, kept in zip(budgets.names, tight, strict=True) if kept)
    return _merged(problem, seconds, usable, count, use[:, :, tight] / room[tight], names)


def _merged(
    problem: CutAndResources,
    seconds: FloatArray,
    usable: BoolArray,
    count: IntArray,
    use: FloatArray | None = None,
    budgets: tuple[str, ...] = (),
) -> Fleet:
    """Make a fleet of classes' seconds (R + 1, C, L), with the parts (C, L, B) that they use."""
    grouped = isinstance(problem, GroupedCutAndResources)
    groups, rows_of = (count, 1) if grouped else (None, count)
    member = np.repeat(np.arange(len(count)), rows_of)
    work = np.moveaxis(seconds[:-1], 0, 2)
    layout = CUTS
    if isinstance(problem, ChoicesAndResources):
        used = np.asarray(((work > 0) & usable[:, :, None]).any(axis=0))
        layout = Layout.of(used)
        work = layout.gathered(work, used)
    slots = work.shape[2]
    scaled = np.empty((*usable.shape, 0)) if use is None else use
    rows = np.concatenate((work, seconds[-1, :, :, None], scaled), axis=2)
    rows[~usable] = (*np.zeros(slots), np.inf, *np.zeros(scaled.shape[2]))
    if problem.devices == len(rows):
        rows, count, member = merged_rows(rows, count)
    return Fleet(
        np.sqrt(rows[:, :, :slots]),
        np.ascontiguousarray(rows[:, :, slots]),
        count,
        member,
        np.ascontiguousarray(rows[:, :, slots + 1 :]) if scaled.shape[2] else None,
        budgets,
        layout,
        groups,
    )
