"""The devices of a problem grouped into classes of identical ones.

With budgets, the cuts that no plan within them can have are left out.
"""

from __future__ import annotations

import numpy as np

from splitopt.errors import InfeasibleError
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.cut_and_resources.budgets import no_cuts_within
from splitopt.solvers.cut_and_resources.relaxation.fleet import Fleet
from splitopt.solvers.cut_and_resources.relaxation.large_fleet import LargeFleet
from splitopt.solvers.cut_and_resources.relaxation.merging import merged_rows

SLACK = 1e-12
"""How much more than its room a budget may seem to be used by rounding; the room itself is 1e-9
wider than the limit, so that no decision that counts as feasible is lost."""


def fleet_of(problem: CutAndResources) -> Fleet:
    """Group the devices of a plain problem whose allowed cuts cost exactly the same.

    Raises
    ------
    InfeasibleError
        No cuts keep all budgets.
    """
    if problem.budgets is not None:
        return budget_fleet(problem)
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
    member = np.repeat(np.arange(len(count)), count)
    room = budgets.room
    for _ in range(4):
        least = np.where(usable[:, :, None], use, np.inf).min(axis=1)
        if not np.isfinite(least).all() or (count @ least > room * (1 + SLACK)).any():
            raise InfeasibleError(no_cuts_within(budgets, problem.allowed))
        left = room * (1 + SLACK) - count @ least
        kept = usable & (use - least[:, None] <= left).all(axis=2)
        if (kept == usable).all():
            break
        usable = kept
    if not usable.any(axis=1).all():
        raise InfeasibleError(no_cuts_within(budgets, problem.allowed))
    most = count @ np.where(usable[:, :, None], use, 0.0).max(axis=1)
    tight = most > room
    scaled = use[:, :, tight] / room[tight]
    rows = np.concatenate((*(table[:, :, None] for table in seconds), scaled), axis=2)
    rows[~usable] = (0.0, 0.0, 0.0, np.inf, *np.zeros(scaled.shape[2]))
    if problem.devices == len(rows):
        rows, count, member = merged_rows(rows, count)
    return Fleet(
        np.sqrt(rows[:, :, :3]),
        np.ascontiguousarray(rows[:, :, 3]),
        count,
        member,
        np.ascontiguousarray(rows[:, :, 4:]) if tight.any() else None,
        tuple(name for name, kept in zip(budgets.names, tight, strict=True) if kept),
    )
