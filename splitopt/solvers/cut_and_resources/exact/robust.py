"""Robust questions of the solver `exact`: which nominal ones answer them."""

from __future__ import annotations

import math

import numpy as np

from splitopt.errors import InfeasibleError
from splitopt.problems.base import FloatArray
from splitopt.problems.cut_and_resources.problem import RobustCutAndResources
from splitopt.results import StopReason
from splitopt.solvers.base import Search
from splitopt.solvers.cut_and_resources.exact.nominal_questions import Nominal, Run, slowed_tables
from splitopt.solvers.cut_and_resources.exact.robust_sum import solve_sum


def solve_robust(problem: RobustCutAndResources, search: Search, run: Run) -> StopReason:
    """Solve a robust question by nominal ones; `run` solves these.

    Raises
    ------
    InfeasibleError
        No cuts keep all budgets together.
    """
    nominal = Nominal(problem, search, run)
    slow, tables = problem.slowness.devices, problem.tables
    if problem.objective == "makespan":
        reason = _makespan(nominal)
    elif slow == 0 or slow >= problem.waited:
        part = np.zeros(problem.devices) if slow == 0 else np.ones(problem.devices)
        reason = _surely(nominal, [(part, problem.waited)])
    else:
        reason = solve_sum(nominal, tables)
    search.details["nominal_problems"] = nominal.asked
    if search.best is None and math.isinf(search.bound):
        raise InfeasibleError(problem.over_budgets())
    return reason


def _makespan(nominal: Nominal) -> StopReason:
    """Solve the makespan: all that count slow for sure, or so many that G late ones do no harm.

    By `worst_makespan` a plan's value is the smaller of two order statistics, so that the optimum
    is the smaller of the optima of two nominal quorums: Q of slowed devices, Q + G of nominal ones.
    """
    problem = nominal.problem
    size, slow = problem.devices, problem.slowness.devices
    everyone = np.ones(size)
    if problem.waited == size:
        return _surely(nominal, [(min(slow, 1.0) * everyone, size)])
    if slow == 0:
        return _surely(nominal, [(0.0 * everyone, problem.waited)])
    ways = [(everyone, problem.waited)]
    if problem.waited + slow <= size:
        ways.append((0.0 * everyone, problem.waited + int(slow)))
    return _surely(nominal, ways)


def _surely(nominal: Nominal, ways: list[tuple[FloatArray, int]]) -> StopReason:
    """Solve a question whose value is the least of some nominal ones: slowness (N,) and quorum."""
    problem, search = nominal.problem, nominal.search
    nominal.part = 1.0
    questions = [
        (*slowed_tables(problem, part), nominal.options(), waited) for part, waited in ways
    ]
    bounds = [nominal.root(*question) for question in questions]
    search.prove(min(bounds))
    for place in np.argsort(bounds):
        if bounds[place] >= search.objective * (1 - search.rel_gap):
            continue
        answer = nominal.solve(*questions[place])
        nominal.offer(answer)
        bounds[place] = max(bounds[place], answer.bound)
        search.prove(min(bounds))
        if (reason := search.stop()) not in (None, "gap"):
            return reason
    return search.stop() or ("proved" if math.isinf(search.bound) else "converged")
