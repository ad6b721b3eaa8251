"""The cheapest senders of one device when several are needed for a class, or quality counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.solvers.backends.integer_program import Matrix
from splitopt.solvers.base import Search
from splitopt.solvers.generator_pairing.fleet import Choice, Fleet, Offers
from splitopt.solvers.generator_pairing.integer_program import add_device

_ROUNDS = 150
_SLACK = 1e-12
_FEW = 50
"""Senders among which a good choice is looked for before any is ruled out for good."""


def cheapest_choice(fleet: Fleet, i: int, search: Search) -> Choice:
    """Return the cheapest senders of one device: by masks where they do, else by HiGHS.

    Prices of the classes bound the device's cost; senders that they rule out never reach HiGHS,
    and often nobody is left who could be better than what was found on the way.
    """
    if fleet.is_masked:
        return fleet.cheapest(i)
    offers = fleet.offers(i)
    bound, best, reduced, senders = offers.price(_ROUNDS)
    found = Choice(best, bound, senders)
    kept = _left(reduced, found)
    if len(kept) > _FEW:
        few = np.sort(kept[np.argsort(reduced[kept], kind="stable")[:_FEW]])
        found = replace(_improved(fleet, i, offers, few, found, search), bound=bound)
        kept = _left(reduced, found)
    return _improved(fleet, i, offers, kept, found, search)


def _left(reduced: FloatArray, found: Choice) -> IntArray:
    """Return the places of senders that a better choice may have."""
    return np.flatnonzero(found.bound + np.maximum(reduced, 0.0) < found.value * (1 - _SLACK))


def _improved(
    fleet: Fleet, i: int, offers: Offers, kept: IntArray, found: Choice, search: Search
) -> Choice:
    """Return the best choice among some senders, or what was found; the bound is for those."""
    limit = found.value * (1 - _SLACK)
    if found.bound >= limit or (offers.useful[kept].sum(axis=0) < offers.need).any():
        return replace(found, bound=max(found.bound, limit))
    matrix = Matrix()
    sends = add_device(matrix, offers, kept, fleet.problem.penalty is not None, {})
    answer = matrix.solve(found.value or 1.0, search.remaining_s, search.seed)
    value, senders = found.value, found.senders
    if answer.values is not None:
        taken = offers.senders[kept[answer.values[sends] > 0.5]]
        if (cost := _cost(fleet, i, taken)) < value:
            value, senders = cost, taken
    return Choice(value, max(found.bound, min(answer.bound, value * (1 - _SLACK))), senders)


def _cost(fleet: Fleet, i: int, senders: IntArray) -> float:
    """Return what a choice costs, with the best quality of every class."""
    problem = fleet.problem
    total = float(problem.cost[i, senders].sum())
    if problem.penalty is not None:
        for c in fleet.missing[i]:
            lacks = np.sort(problem.penalty[senders[problem.covers[senders, c]], c])
            total += float(lacks[: problem.need[i, c]].sum())
    return total
