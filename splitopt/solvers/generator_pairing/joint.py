"""Pairings with caps where several senders are needed for a class, or quality counts: HiGHS."""

from __future__ import annotations

import math

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.generator_pairing import GeneratorPairingDecision
from splitopt.results import StopReason
from splitopt.solvers.backends.integer_program import Matrix
from splitopt.solvers.base import Search
from splitopt.solvers.generator_pairing.fleet import Fleet, Offers
from splitopt.solvers.generator_pairing.integer_program import add_device

_STEPS = 40


def solve_joint(fleet: Fleet, search: Search) -> StopReason:
    """Search, propose decisions and prove bounds.

    Prices of classes and of sends bound the whole. Pairs that they rule out, since the bound with
    such a pair is above the best known value, are left out of the program.
    """
    limits = fleet.problem.limits
    assert limits is not None  # the caller saw to it
    prices, step, best = np.zeros(len(limits)), 1.0, -math.inf
    kept: list[tuple[Offers, FloatArray]] = []
    for _ in range(_STEPS):
        total, sends, rows = -float(prices @ limits), np.zeros(len(limits)), []
        for i in fleet.receivers.tolist():
            if reason := search.stop():
                return reason
            offers = fleet.offers(i, prices)
            bound, _, reduced, _ = offers.price()
            total += bound
            sends[offers.senders[reduced < 0]] += 1
            rows.append((offers, reduced))
        search.iterations += 1
        if total > best:
            best, kept = total, rows
            search.prove(total - 1e-11 * abs(total))
        else:
            step *= 0.7
        slope = sends - limits
        slope[(prices <= 0) & (slope < 0)] = 0.0
        norm = float(slope @ slope)
        goal = search.objective if search.best is not None else 1.2 * best
        if norm == 0.0 or goal <= total:
            break
        prices = np.maximum(0.0, prices + step * (goal - total) / norm * slope)
    return search.stop() or _program(fleet, search, kept, best)


def _program(
    fleet: Fleet, search: Search, kept: list[tuple[Offers, FloatArray]], best: float
) -> StopReason:
    """State the program over the pairs that are left, and solve it."""
    problem, limits = fleet.problem, fleet.problem.limits
    assert limits is not None  # the caller saw to it
    matrix, slack = Matrix(), 1e-9 * abs(search.objective)
    caps = {j: matrix.row(-np.inf, float(cap)) for j, cap in enumerate(limits.tolist())}
    chosen: list[tuple[int, list[int], IntArray]] = []
    for i, (_, reduced) in zip(fleet.receivers.tolist(), kept, strict=True):
        offers = fleet.offers(i)  # without prices
        left = np.flatnonzero(best + np.maximum(reduced, 0.0) <= search.objective + slack)
        sends = add_device(matrix, offers, left, problem.penalty is not None, caps)
        chosen.append((i, sends, offers.senders[left]))
    search.details["pairs"] = sum(len(sends) for _, sends, _ in chosen)
    unit = best if best > 0 else 1.0
    answer = matrix.solve(unit, search.remaining_s, search.seed)
    if answer.values is not None:
        found: list[IntArray] = [np.empty(0, dtype=np.int64) for _ in range(problem.devices)]
        for i, sends, senders in chosen:
            found[i] = senders[answer.values[sends] > 0.5]
        search.propose(GeneratorPairingDecision(tuple(found)))
    search.prove(min(answer.bound, search.objective))
    return search.stop() or ("converged" if answer.finished else "time")
