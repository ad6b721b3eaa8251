"""The cheapest senders of one device when several are needed for a class, or quality counts."""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.solvers.base import Search
from splitopt.solvers.generator_pairing.fleet import Choice, Fleet
from splitopt.solvers.generator_pairing.integer_program import Matrix, add_device

_ROUNDS = 150
_SLACK = 1e-12


def cheapest_choice(
    fleet: Fleet, i: int, search: Search, prices: FloatArray | None = None
) -> Choice:
    """Return the cheapest senders of one device: masks where they do, else HiGHS.

    Prices of the classes bound the device's cost; senders that they rule out never reach HiGHS,
    and often nobody is left who could be better than what was found on the way.
    """
    if fleet.is_masked:
        return fleet.cheapest(i, prices)
    offers = fleet.offers(i, prices)
    bound, best, reduced, senders = offers.price(_ROUNDS)
    limit = best * (1 - _SLACK)
    if bound >= limit:
        return Choice(best, bound, senders)
    kept = np.flatnonzero(bound + np.maximum(reduced, 0.0) < limit)
    quality = fleet.problem.penalty is not None
    enough = bool((offers.useful[kept].sum(axis=0) >= offers.need).all())
    if not enough:  # no choice among them: what was found is the best
        return Choice(best, limit, senders)
    matrix = Matrix()
    sends = add_device(matrix, offers, kept, quality, {})
    answer = matrix.solve(best or 1.0, search.remaining_s, search.seed)
    if answer.infeasible:
        return Choice(best, limit, senders)
    if answer.values is not None:
        taken = offers.senders[kept[answer.values[sends] > 0.5]]
        value = _value(fleet, i, taken, prices)
        if value < best:
            best, senders = value, taken
    # Whoever was ruled out is in no choice below the limit.
    return Choice(best, max(bound, min(answer.bound, best * (1 - _SLACK))), senders)


def _value(fleet: Fleet, i: int, senders: IntArray, prices: FloatArray | None) -> float:
    """Return what a choice costs, with the best quality of every class."""
    problem = fleet.problem
    total = float(fleet.costs(i, prices)[senders].sum())
    if problem.penalty is not None:
        for c in fleet.missing[i]:
            useful = senders[problem.covers[senders, c]]
            lacks = np.sort(problem.penalty[useful, c])
            total += float(lacks[: problem.need[i, c]].sum())
    return total
