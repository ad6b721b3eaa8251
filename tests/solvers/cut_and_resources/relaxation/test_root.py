"""The dual of the relaxed problem: valid at any prices, and as good as the relaxed optimum."""

from __future__ import annotations

import itertools

import cvxpy as cp
import numpy as np
import pytest

from splitopt import CutAndResources
from splitopt.solvers.cut_and_resources.relaxation.grouping import fleet_of
from splitopt.solvers.cut_and_resources.relaxation.makespan_dual import deadline_for
from splitopt.solvers.cut_and_resources.relaxation.measures import dyad
from splitopt.solvers.cut_and_resources.relaxation.root import root_bound, solve_root

OBJECTIVES = ("sum", "makespan")


def draw(seed, devices, layers, objective, decades=1.0):
    """Draw a problem with a random mask."""
    rng = np.random.default_rng(seed)
    tables = 10 ** rng.uniform(-decades / 2, decades / 2, (4, devices, layers))
    allowed = rng.random((devices, layers)) < 0.7
    allowed[np.arange(devices), rng.integers(layers, size=devices)] = True
    return CutAndResources(*tables, allowed, objective)


def optimum(problem):
    """Try every vector of cuts."""
    choices = [np.flatnonzero(row) + 1 for row in problem.allowed]
    return min(problem.evaluate(problem.complete(cut)) for cut in itertools.product(*choices))


def relaxed_sum(problem):
    """Minimise |sum x alpha|^2 + sum x d over mixtures x with a conic solver."""
    x = cp.Variable((problem.devices, problem.layers), nonneg=True)
    totals = [cp.sum(cp.multiply(x, problem.roots[:, :, i])) for i in range(3)]
    value = cp.sum_squares(cp.hstack(totals)) + cp.sum(cp.multiply(x, problem.device_s))
    limits = [cp.sum(x, axis=1) == 1, x[~problem.allowed] == 0]
    return cp.Problem(cp.Minimize(value), limits).solve(solver=cp.CLARABEL)


def relaxed_makespan(problem):
    """Bisect on T: a mixture of matrices with largest eigenvalue at most one must exist."""
    x = cp.Variable((problem.devices, problem.layers), nonneg=True)
    low, high = 0.0, problem.evaluate(problem.complete(problem.allowed.argmax(axis=1) + 1))
    for _ in range(30):
        middle = 0.5 * (low + high)
        left = middle - problem.device_s
        usable = problem.allowed & (left > 0)
        if not usable.any(axis=1).all():
            low = middle
            continue
        matrix = sum(
            x[n, j] * np.outer(problem.roots[n, j], problem.roots[n, j]) / left[n, j]
            for n, j in np.argwhere(usable)
        )
        limits = [cp.sum(x, axis=1) == 1, x[~usable] == 0]
        least = cp.Problem(cp.Minimize(cp.lambda_max(matrix)), limits).solve(solver=cp.CLARABEL)
        low, high = (middle, high) if least > 1 else (low, middle)
    return high


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("decades", [1.0, 8.0])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_never_above_the_optimum(objective, decades, seed):
    """The bound is valid to within rounding."""
    problem = draw(seed, 3, 4, objective, decades)
    assert 0 < root_bound(problem) <= optimum(problem) * (1 + 1e-12)


@pytest.mark.one_quick
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("objective", "relaxed"), [("sum", relaxed_sum), ("makespan", relaxed_makespan)]
)
def test_as_good_as_the_relaxed_optimum(objective, relaxed, seed):
    """Strong duality: the bound is the optimum over mixed cuts that a conic solver finds."""
    problem = draw(seed, 4, 4, objective)
    assert root_bound(problem) == pytest.approx(relaxed(problem), rel=2e-6)


@pytest.mark.parametrize("seed", range(30))
def test_any_prices_prove_a_deadline(seed):
    """At random prices the deadline is below the optimum, and the solved prices are better."""
    problem = draw(seed, 3, 4, "makespan")
    fleet = fleet_of(problem)
    u = np.abs(np.random.default_rng(seed).normal(size=3))
    proved = deadline_for(fleet, dyad(u / np.linalg.norm(u)))
    assert proved <= root_bound(problem) * (1 + 1e-12)
    assert proved <= optimum(problem)


@pytest.mark.parametrize("seed", range(30))
def test_deadline_is_where_the_costs_are_the_budget(seed):
    """Just before the proved deadline the cheapest services cost more than all there is."""
    problem = draw(seed, 6, 5, "makespan", decades=6.0)
    u = np.abs(np.random.default_rng(seed).normal(size=3))
    u /= np.linalg.norm(u)
    deadline = deadline_for(fleet_of(problem), dyad(u))

    def cost(t):
        left = np.where(problem.allowed & (problem.device_s < t), t - problem.device_s, np.nan)
        costs = (problem.roots @ u) ** 2 / left
        return np.where(np.isnan(costs), np.inf, costs).min(axis=1).sum()

    assert cost(deadline) > 1
    assert cost(deadline * (1 + 1e-9)) < 1


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_gap_falls_with_the_number_of_devices(objective):
    """With hundreds of devices, the best of the columns is close to the bound."""
    problem = draw(0, 400, 8, objective)
    root = solve_root(objective, fleet_of(problem))
    fleet = fleet_of(problem)
    best = min(problem.evaluate(problem.complete(c[fleet.member] + 1)) for c in root.columns)
    assert root.bound == root_bound(problem)
    assert best <= root.bound * (1 + 1e-3)
    assert root.weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_device_time_alone(objective):
    """Without any shared need the bound is the sum or the maximum of the shortest device times."""
    device = np.array([[3.0, 2], [5, 7], [1, 1]])
    zero = np.zeros_like(device)
    problem = CutAndResources(zero, zero, zero, device, np.ones((3, 2), dtype=bool), objective)
    best = 8.0 if objective == "sum" else 5.0
    assert root_bound(problem) == pytest.approx(best, rel=1e-12)
    assert root_bound(problem) <= best


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_watching_stops_the_work(objective):
    """The work stops when it is told to, with a bound that is valid but weaker."""
    problem = draw(1, 50, 8, objective)
    seen = []

    def watch(bound):
        seen.append(bound)
        return True

    root = solve_root(objective, fleet_of(problem), watch)
    assert len(seen) == 1
    assert root.bound <= root_bound(problem)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_no_allowed_cut(objective):
    """A device without a cut makes the bound infinite."""
    ones = np.ones((2, 2))
    problem = CutAndResources(
        ones, ones, ones, ones, np.array([[True, True], [False, False]]), objective
    )
    assert root_bound(problem) == np.inf
