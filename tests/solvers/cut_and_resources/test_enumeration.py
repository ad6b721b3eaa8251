"""Enumeration against brute force with a conic solver, and what it refuses."""

from __future__ import annotations

import itertools
import math

import cvxpy as cp
import numpy as np
import pytest

from splitopt import CapabilityError, CutAndResources, solve

OBJECTIVES = pytest.mark.parametrize("objective", ["sum", "makespan"])


def least_latency(problem, cuts):
    """Minimise over the shares with a conic solver, from the definition of the latency."""
    share = cp.Variable((problem.devices, 3), nonneg=True)
    latencies = []
    for n, cut in enumerate(cuts):
        latency = problem.device_s[n, cut - 1]
        for r, table in enumerate((problem.download_s, problem.upload_s, problem.server_s)):
            if table[n, cut - 1] > 0:
                latency = latency + table[n, cut - 1] * cp.inv_pos(share[n, r])
        latencies.append(latency)
    goal = sum(latencies) if problem.objective == "sum" else cp.max(cp.hstack(latencies))
    program = cp.Problem(cp.Minimize(goal), [cp.sum(share, axis=0) <= 1])
    program.solve(solver=cp.CLARABEL)
    return program.value


def brute_force(problem):
    """Compute the least latency over every allowed vector of cuts, and that vector."""
    choices = [
        [cut for cut in range(1, problem.layers + 1) if problem.allowed[n, cut - 1]]
        for n in range(problem.devices)
    ]
    values = {cuts: least_latency(problem, cuts) for cuts in itertools.product(*choices)}
    best = min(values, key=values.get)
    return values[best], list(best)


@pytest.mark.one_quick
@OBJECTIVES
@pytest.mark.parametrize(
    ("seed", "devices", "layers", "masked"),
    [(0, 1, 3, False), (1, 2, 3, False), (2, 2, 3, True), (3, 3, 2, False), (4, 3, 3, True)],
)
def test_it_finds_what_a_conic_solver_finds(
    objective, seed, devices, layers, masked, random_problem
):
    """Cuts and value are those of a convex program solved for every vector of cuts."""
    problem = random_problem(seed, devices, layers, objective, masked, decades=1.0)
    value, cuts = brute_force(problem)
    result = solve(problem, "enumerate")
    assert result.outcome == "optimal"
    assert result.stop_reason == "proved"
    assert result.objective == pytest.approx(value, rel=1e-6)
    assert result.decision.cut.tolist() == cuts


@OBJECTIVES
def test_every_vector_is_tried_once(objective, random_problem):
    """The count of evaluations is the product of the numbers of allowed cuts."""
    problem = random_problem(5, devices=4, layers=4, objective=objective, masked=True)
    wanted = math.prod(problem.allowed.sum(axis=1).tolist())
    assert solve(problem, "enumerate").iterations == wanted


@pytest.mark.slow
def test_vectors_that_fill_many_blocks(random_problem):
    """Over more than one block the optimum is that of the branch and bound."""
    problem = random_problem(6, devices=9, layers=4)
    result = solve(problem, "enumerate")
    assert result.iterations == 4**9
    assert result.objective == pytest.approx(solve(problem, "exact").objective, rel=1e-9)


@OBJECTIVES
def test_a_single_vector(objective, random_problem):
    """With one allowed cut each there is one vector, and it is the optimum."""
    free = random_problem(7, devices=3, layers=3, objective=objective)
    only = np.zeros((3, 3), dtype=bool)
    only[[0, 1, 2], [2, 0, 1]] = True
    problem = CutAndResources(**{**free.data(), "allowed": only}, objective=objective)
    result = solve(problem, "enumerate")
    assert (result.outcome, result.iterations) == ("optimal", 1)
    assert result.decision.cut.tolist() == [3, 1, 2]


@OBJECTIVES
def test_without_time_it_still_gives_a_plan(objective, random_problem):
    """A time limit of 0 ends after the first vectors with something feasible and no bound."""
    problem = random_problem(8, devices=9, layers=4, objective=objective)
    result = solve(problem, "enumerate", time_limit_s=0)
    assert (result.outcome, result.stop_reason) == ("feasible", "time")
    assert 1 <= result.iterations < 4**9
    assert result.bound == -math.inf


@pytest.mark.parametrize(
    ("devices", "price"), [(10, "59,049"), (40, r"about 10\^19"), (10_000, r"about 10\^4771")]
)
def test_it_refuses_with_the_price(devices, price, random_problem):
    """What is too much is refused before the run, with the number of vectors."""
    problem = random_problem(9, devices=devices, layers=3)
    wanted = rf"would have to try {price} vectors of cuts, .*max_vectors = 59,048; .*exact"
    with pytest.raises(CapabilityError, match=wanted):
        solve(problem, "enumerate", max_vectors=59_048)


def test_the_limit_itself_is_not_too_much(random_problem):
    """As many vectors as allowed are tried."""
    problem = random_problem(10, devices=5, layers=3)
    assert solve(problem, "enumerate", max_vectors=3**5).outcome == "optimal"
