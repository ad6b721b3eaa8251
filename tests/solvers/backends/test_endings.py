"""How back ends end: no status without a meaning, no bound above what was proved."""

from __future__ import annotations

import math

import gurobipy
import numpy as np
import pytest
from pyomo.contrib.solver.common.results import TerminationCondition
from pyscipopt.scip import PY_SCIP_STATUS

from splitopt import CutAndResources, solve
from splitopt.solvers.backends.endings import (
    BOUND_TOLERANCE,
    GUROBI_STATUS,
    PYOMO_STATUS,
    SCIP_STATUS,
    BackEndError,
    conclude,
    safe_bound,
)
from splitopt.solvers.backends.gurobi import status_name
from splitopt.solvers.base import Search


def test_every_status_of_the_installed_back_ends_has_a_meaning():
    """The tables cover what SCIP, Gurobi and Pyomo can say in the versions that are installed."""
    assert {name.lower() for name in dir(PY_SCIP_STATUS) if name.isupper()} <= SCIP_STATUS.keys()
    gurobi = {name for name in dir(gurobipy.GRB.Status) if name.isupper()}
    assert gurobi == GUROBI_STATUS.keys()
    assert {condition.name for condition in TerminationCondition} == PYOMO_STATUS.keys()


def test_an_unknown_status_is_an_error(random_problem):
    """A status that the table lacks is not taken for success."""
    search = Search(random_problem(), None, 1e-9, 0)
    with pytest.raises(BackEndError, match="'nirvana', which is unknown"):
        conclude(search, "SCIP", SCIP_STATUS, "nirvana", 0.0, 1.0)
    assert search.bound == -math.inf


@pytest.mark.parametrize("status", ["optimal", "infeasible", "memlimit"])
def test_an_end_without_a_solution_is_an_error(random_problem, status):
    """A back end that claims optimality or infeasibility without a decision has failed."""
    search = Search(random_problem(), None, 1e-9, 0)
    with pytest.raises(BackEndError, match="without a solution"):
        conclude(search, "SCIP", SCIP_STATUS, status, 1.0, 1.0)


def test_a_limit_without_a_solution_is_no_error(random_problem):
    """Running out of time before the first solution is an ordinary end; the bound counts."""
    search = Search(random_problem(), None, 1e-9, 0)
    assert conclude(search, "SCIP", SCIP_STATUS, "timelimit", 3.0, 2.0) == "time"
    assert search.bound == pytest.approx(6.0 * (1 - BOUND_TOLERANCE), rel=1e-12)


@pytest.mark.parametrize("missing", [math.nan, math.inf, -math.inf, 1e20, -1e20, 1e100])
def test_a_bound_that_is_none_proves_nothing(missing):
    """The infinities of back ends become minus infinity."""
    assert safe_bound(missing) == -math.inf


def test_the_tolerance_comes_off_the_bound():
    """Absolute below one, relative above."""
    assert safe_bound(0.5) == 0.5 - BOUND_TOLERANCE
    assert safe_bound(50.0) == 50.0 - 50 * BOUND_TOLERANCE
    assert safe_bound(-50.0) == -50.0 - 50 * BOUND_TOLERANCE


@pytest.mark.gurobi
def test_gurobi_statuses_are_named():
    """The code of a fresh model is LOADED."""
    with gurobipy.Env(params={"OutputFlag": 0}) as env, gurobipy.Model(env=env) as model:
        assert status_name(model) == "LOADED"
        model.optimize()
        assert status_name(model) == "OPTIMAL"


def test_a_bound_above_its_own_decision_by_rounding_is_left_out(random_problem):
    """The decision was checked by the problem; a bound that is far above it stays a contradiction.

    The driver then says so.
    """
    problem = random_problem()
    decision = problem.complete(problem.allowed.argmax(axis=1) + 1)
    for excess, kept in ((3e-6, False), (0.5e-6, True), (1e-2, True)):
        search = Search(problem, None, 1e-9, 0)
        value = search.propose(decision)
        bound = value * (1 + excess)
        assert conclude(search, "SCIP", SCIP_STATUS, "optimal", bound, 1.0) in ("converged", "gap")
        assert search.best is decision
        assert (search.bound > -math.inf) == kept
        assert (search.message is None) == kept


@pytest.mark.one_quick
@pytest.mark.gurobi
@pytest.mark.parametrize("objective", ["sum", "makespan"])
@pytest.mark.parametrize(("devices", "cuts"), [(1, 1), (1, 2), (2, 1), (3, 3)])
def test_gurobi_through_cvxpy_keeps_right_answers_of_the_smallest_problems(
    devices, cuts, objective
):
    """One device with two cuts had its optimal plan thrown away: the cone's bound was too high."""
    for seed in range(2):
        rng = np.random.default_rng(seed)
        sizes = 10.0 ** rng.uniform(-3, 3, 4)
        tables = [size * rng.random((devices, cuts)) for size in sizes]
        problem = CutAndResources(*tables, objective=objective)
        found = solve(problem, "cvxpy:GUROBI")
        assert found.outcome in ("optimal", "feasible"), found.message
        assert found.objective == pytest.approx(solve(problem, "exact").objective, rel=1e-6)


@pytest.mark.gurobi
def test_the_answer_that_was_thrown_away():
    """The numbers at which it happened."""
    rng = np.random.default_rng(0)
    tables = [10.0 ** rng.uniform(-3, 3) * rng.random((1, 2)) for _ in range(4)]
    problem = CutAndResources(*tables, objective="makespan")
    found = solve(problem, "cvxpy:GUROBI")
    assert (found.outcome, found.message) == ("feasible", None)
    assert found.objective == pytest.approx(solve(problem).objective, rel=1e-9)
    assert 0 < found.gap < 2e-5
