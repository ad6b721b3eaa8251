"""`exact` and `enumerate` on robust questions, against scenarios, cuts and sets by enumeration."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from splitopt import CutAndResources, solve
from splitopt.errors import CapabilityError
from splitopt.problems.cut_and_resources.problem import RobustCutAndResources
from splitopt.solvers.cut_and_resources.exact import robust_sum
from tests.problems.cut_and_resources.test_robust import least_sum, worst_by_enumeration
from tests.robust_cases import KINDS, robust_problem, scenarios


def without_doubt(problem, part, served):
    """Return the nominal problem of devices that are slow for sure, of the served ones alone."""
    rows = np.flatnonzero(served)
    slow = problem.slowness
    link = (1 + (slow.links - 1) * part)[rows, None]
    own = (1 + (slow.compute - 1) * part)[rows, None]
    return CutAndResources(
        link * problem.download_s[rows],
        link * problem.upload_s[rows],
        problem.server_s[rows],
        own * problem.device_s[rows],
        objective=problem.objective,
    )


def nominal_makespan(problem, part, quorum):
    """Return the least makespan of all sets of a quorum, by enumeration of sets and cuts."""
    best = np.inf
    for chosen in itertools.combinations(range(problem.devices), quorum):
        served = np.isin(np.arange(problem.devices), chosen)
        best = min(best, solve(without_doubt(problem, part, served), "enumerate").objective)
    return best


@pytest.mark.one_quick
@pytest.mark.parametrize("kind", KINDS)
def test_sum_is_the_best_of_all_cuts_by_a_convex_solver(kind):
    problem = robust_problem(11, 3, 2, "sum", 1.5, None, kind)
    every = itertools.product((1, 2), repeat=3)
    best = min(least_sum(problem, np.array(cuts)) for cuts in every)
    result = solve(problem)
    assert result.outcome == "optimal"
    assert result.objective == pytest.approx(best, rel=1e-6)
    assert result.objective == pytest.approx(
        worst_by_enumeration(problem, result.decision), rel=1e-12
    )


@pytest.mark.one_quick
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("quorum", [None, 3])
@pytest.mark.parametrize("objective", ["sum", "makespan"])
def test_exact_is_enumeration(objective, quorum, kind):
    problem = robust_problem(3, 4, 3, objective, 1, quorum, kind)
    best = solve(problem, "enumerate")
    result = solve(problem, "exact")
    assert result.outcome == "optimal"
    assert result.objective == pytest.approx(best.objective, rel=2e-9)
    assert result.bound <= best.objective * (1 + 1e-9)
    assert result.objective == pytest.approx(
        worst_by_enumeration(problem, result.decision), rel=1e-12
    )


@pytest.mark.one_quick
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("quorum", [None, 2])
def test_cells_are_divided_down_to_the_optimum(quorum, kind, monkeypatch):
    """Without going through the plans of small cells: the tree over theta and cuts alone."""
    monkeypatch.setattr(robust_sum, "_LISTED", 1)
    problem = robust_problem(4, 3, 3, "sum", 1, quorum, kind)
    result = solve(problem, rel_gap=1e-6)
    best = solve(problem, "enumerate").objective
    assert kind == "compute" or result.details["cells"] > 1
    assert result.gap <= 1e-6
    assert result.bound <= best * (1 + 1e-9)
    assert best <= result.objective * (1 + 1e-9) <= best * (1 + 2e-6)


@pytest.mark.parametrize("slow", [0, 1, 2])
def test_makespan_of_a_quorum_has_spare_devices_or_robust_ones(slow):
    """By the worst over slow sets of the Q-th smallest, over sets, cuts and shares of each kind."""
    problem = robust_problem(8, 4, 2, "makespan", slow, 2, "both")
    size = problem.devices
    want = nominal_makespan(problem, np.ones(size) if slow else np.zeros(size), 2)
    if slow:
        want = min(want, nominal_makespan(problem, np.zeros(size), 2 + slow))
    result = solve(problem)
    assert result.objective == pytest.approx(want, rel=1e-8)
    assert result.objective == pytest.approx(
        worst_by_enumeration(problem, result.decision), rel=1e-12
    )


def test_spare_devices_can_be_better_than_waiting_for_slow_ones():
    tables = [np.full((4, 1), 0.1)] * 3 + [np.ones((4, 1))]
    problem = RobustCutAndResources(
        *tables, objective="makespan", slow={"devices": 1, "compute": 50.0}, quorum=2
    )
    result = solve(problem)
    assert result.objective < 10  # three are served, and the slow one is not waited for
    assert np.isfinite(problem.latencies(result.decision)).sum() == 3


@pytest.mark.parametrize("objective", ["sum", "makespan"])
def test_none_slow_is_the_nominal_optimum_and_all_slow_the_slowed_fleet(objective):
    problem = robust_problem(6, 4, 3, objective, 0, None, "both")
    size, everyone = problem.devices, np.ones(4, dtype=bool)
    for slow in (0, size):
        part = np.full(size, float(slow > 0))
        want = solve(without_doubt(problem, part, everyone), "enumerate").objective
        assert solve(problem.with_slow(slow)).objective == pytest.approx(want, rel=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_more_slow_devices_never_cost_less(kind):
    problem = robust_problem(13, 5, 3, "sum", 0, None, kind)
    values = [solve(problem.with_slow(slow)).objective for slow in (0, 0.5, 1, 2, 5)]
    assert values == sorted(values)
    assert values[0] < values[1] < values[2]


@pytest.mark.one_quick
@pytest.mark.parametrize("objective", ["sum", "makespan"])
def test_a_quorum_of_all_is_the_usual_problem_and_a_smaller_one_costs_less(objective):
    problem = robust_problem(9, 4, 3, objective, 0, 4, "compute")
    usual = solve(without_doubt(problem, np.zeros(4), np.ones(4, dtype=bool)), "enumerate")
    found = [solve(replace(problem, quorum=quorum)).objective for quorum in (4, 3, 2, 1)]
    assert found[0] == pytest.approx(usual.objective, rel=1e-8)
    assert found == sorted(found, reverse=True)


@pytest.mark.slow
def test_no_plan_is_below_the_bound_when_time_is_short():
    problem = robust_problem(2, 12, 6, "sum", 3, None, "both")
    result = solve(problem, time_limit_s=0.5)
    assert 0 < result.bound <= result.objective
    rng = np.random.default_rng(0)
    for _ in range(50):
        decision = problem.complete(rng.integers(1, 7, 12))
        assert problem.evaluate(decision) >= result.bound


def test_a_budget_counts_those_who_are_served():
    problem = robust_problem(5, 3, 2, "sum", 1, 2, "compute")
    use = np.ones((3, 2))
    budgets = [{"name": "memory", "use": use, "limit": 2}]
    kept = replace(problem, budgets=budgets)
    assert solve(kept).objective == pytest.approx(solve(problem).objective, rel=1e-8)
    short = replace(problem, budgets=[{"name": "memory", "use": use, "limit": 1}])
    result = solve(short)
    assert result.outcome == "infeasible"
    assert "memory" in result.message


def test_solvers_of_nominal_seconds_refuse():
    problem = robust_problem(5, 3, 2, "sum", 1, None, "compute")
    with pytest.raises(CapabilityError, match="slow devices or a quorum; these would work: exact"):
        solve(problem, "block_descent")


def test_scenarios_of_a_fraction_are_vertices():
    problem = robust_problem(5, 3, 2, "sum", 1.5, None, "compute")
    assert len(list(scenarios(problem))) == 6
