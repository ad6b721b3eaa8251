"""The devices of a problem with budgets, without the cuts that no plan within them can have."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from splitopt.errors import InfeasibleError
from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.cut_and_resources.budgets import Budgets
from splitopt.problems.cut_and_resources.factored import FactoredCutAndResources
from splitopt.problems.cut_and_resources.fleet import Fleet, merged
from splitopt.problems.cut_and_resources.problem import CutAndResources

SLACK = 1e-12
"""How much more than its room a budget may seem to be used by rounding; the room itself is 1e-9
wider than the limit, so that no decision that counts as feasible is lost."""


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
    tables, usable, use, count, member = _classes(problem, budgets)
    room = budgets.room
    for _ in range(4):
        least = np.where(usable[:, :, None], use, np.inf).min(axis=1)
        if not np.isfinite(least).all() or (count @ least > room * (1 + SLACK)).any():
            raise InfeasibleError(over_all_budgets(problem))
        left = room * (1 + SLACK) - count @ least
        kept = usable & (use - least[:, None] <= left).all(axis=2)
        if (kept == usable).all():
            break
        usable = kept
    if not usable.any(axis=1).all():
        raise InfeasibleError(over_all_budgets(problem))
    most = count @ np.where(usable[:, :, None], use, 0.0).max(axis=1)
    tight = most > room
    scaled = use[:, :, tight] / room[tight]
    rows = np.concatenate((*(table[:, :, None] for table in tables), scaled), axis=2)
    rows[~usable] = (0.0, 0.0, 0.0, np.inf, *np.zeros(scaled.shape[2]))
    if problem.devices == len(rows):
        rows, count, member = merged(rows)
    return Fleet(
        np.sqrt(rows[:, :, :3]),
        np.ascontiguousarray(rows[:, :, 3]),
        count,
        member,
        np.ascontiguousarray(rows[:, :, 4:]) if tight.any() else None,
        tuple(name for name, kept in zip(budgets.names, tight, strict=True) if kept),
    )


def over_all_budgets(problem: CutAndResources) -> str:
    """Report that no cuts keep all budgets together, with what each takes at least by itself."""
    budgets = problem.budgets
    assert budgets is not None
    least = budgets.least(problem.allowed)
    each = ", ".join(
        f"{name!r} takes at least {need:.10g} of {limit:.10g}"
        for name, need, limit in zip(budgets.names, least, budgets.limit, strict=True)
    )
    return f"no cuts keep all budgets together ({each}, each by itself); raise a limit"


def _classes(
    problem: CutAndResources, budgets: Budgets
) -> tuple[tuple[FloatArray, ...], BoolArray, FloatArray, IntArray, IntArray]:
    """Return the four tables, what is allowed, the use, the counts, and each device's class."""
    if isinstance(problem, FactoredCutAndResources):
        factors = problem.factors
        one = replace(factors, count=np.ones(factors.classes, dtype=np.int64))
        tables = tuple(one.table(part) for part in range(4))
        return tables, factors.masks[factors.mask], budgets.use, factors.count, factors.member
    tables = (problem.download_s, problem.upload_s, problem.server_s, problem.device_s)
    rows = np.arange(problem.devices)
    return tables, problem.allowed, budgets.table(), np.ones_like(rows), rows
