"""The devices of a problem grouped into classes of identical ones.

With budgets, the cuts that no plan within them can have are left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.errors import InfeasibleError
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.cut_and_resources.budgets import no_cuts_within
from splitopt.solvers.cut_and_resources.relaxation.fleet import Fleet
from splitopt.solvers.cut_and_resources.relaxation.sources import Source

SLACK = 1e-12
"""How much more than its room a budget may seem to be used by rounding; the room itself is 1e-9
wider than the limit, so that no decision that counts as feasible is lost."""


def fleet_of(problem: CutAndResources) -> Fleet:
    """Group the devices of a plain problem whose allowed cuts cost exactly the same.

    The square roots stand for the seconds: two times so close that their roots round to the same
    number are told apart by no formula here.

    Raises
    ------
    InfeasibleError
        No cuts keep all budgets.
    """
    if problem.budgets is not None:
        return budget_fleet(problem)
    seconds, allowed, count = problem.device_classes()
    rows = np.empty((*allowed.shape, 4))
    rows[:, :, :3] = np.sqrt(seconds[:3]).transpose(1, 2, 0)
    rows[:, :, 3] = seconds[3]
    rows[~allowed] = (0.0, 0.0, 0.0, np.inf)
    kept, count, member = merged(rows, count)
    return Fleet(
        np.ascontiguousarray(kept[:, :, :3]),
        np.ascontiguousarray(kept[:, :, 3]),
        count,
        member,
    )


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
        rows, count, member = merged(rows, count)
    return Fleet(
        np.sqrt(rows[:, :, :3]),
        np.ascontiguousarray(rows[:, :, 3]),
        count,
        member,
        np.ascontiguousarray(rows[:, :, 4:]) if tight.any() else None,
        tuple(name for name, kept in zip(budgets.names, tight, strict=True) if kept),
    )


def merged(rows: FloatArray, count: IntArray) -> tuple[FloatArray, IntArray, IntArray]:
    """Merge classes whose rows (C, L, K) are equal, in the order in which they come.

    Parameters
    ----------
    rows
        The numbers of each class.
    count
        Shape (C,): how many devices it has; devices are numbered class by class.

    Returns
    -------
    The rows of the merged classes (D, L, K), the devices of each (D,), and the merged class of
    each device (N,).
    """
    rows += 0.0  # a negative zero becomes zero, so that equal numbers are equal bytes
    flat = rows.reshape(len(rows), -1)
    keys = flat.view(np.dtype((np.void, flat.itemsize * flat.shape[1]))).ravel()
    _, first, same = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    kept = rows if len(first) == len(rows) else rows[first[order]]
    place = rank[same.reshape(-1)]
    devices = np.zeros(len(first), dtype=np.int64)
    np.add.at(devices, place, count)
    return kept, devices, np.repeat(place.astype(np.int64), count)


_LOOK = 20_000
"""Classes that are looked at to see whether there are duplicates."""


def merged_source(
    source: Source, count: IntArray, member: IntArray | None
) -> tuple[Source, IntArray, IntArray | None]:
    """Merge classes that are exactly equal, unless a look at some of them finds few that are.

    Other than `merged` it needs no table of all classes; parameters and what is returned are
    as `source_of` returns them.
    """
    size = source.classes
    look = np.unique(np.linspace(0, size - 1, min(size, _LOOK)).astype(np.int64))
    spread = np.random.default_rng(0).integers(0, size, len(look))
    if size > _LOOK:
        look = np.unique(spread)
    if len(np.unique(_hash(source, look))) > 0.9 * len(look):
        return source, count, member
    hashes = _hash(source, slice(None))
    _, first, place = np.unique(hashes, return_index=True, return_inverse=True)
    for key in source.keys(slice(None)):
        if not np.array_equal(key, key[first][place]):
            return source, count, member  # two different classes with one hash: nothing is merged
    devices = np.bincount(place, weights=count, minlength=len(first)).astype(np.int64)
    return source.part(first), devices, place if member is None else place[member]


def _hash(source: Source, classes: IntArray | slice) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Mix the bits of each class's numbers into one."""
    mixed: Any = np.uint64(0)
    for key in source.keys(classes):
        mixed = (mixed ^ (key + 0.0).view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return np.asarray(mixed)
