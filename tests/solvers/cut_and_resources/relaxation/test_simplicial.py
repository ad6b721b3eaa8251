"""Simplicial decomposition and its quadratic programs, against other solvers."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

from splitopt.solvers.cut_and_resources.relaxation import simplicial
from splitopt.solvers.cut_and_resources.relaxation.few_columns import FEW
from splitopt.solvers.cut_and_resources.relaxation.measures import (
    EigenvalueMeasure,
    SumMeasure,
    dyad,
)
from splitopt.solvers.cut_and_resources.relaxation.simplicial import Ending, minimise, simplex_qp


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("rank", [1, 3, 5])
def test_quadratic_program(seed, rank):
    """The point meets the optimality conditions on the simplex, singular or not."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 7))
    half = rng.normal(size=(size, rank))
    hessian, linear = half @ half.T, rng.normal(size=size)
    start = rng.dirichlet(np.ones(size))
    x = simplex_qp(hessian, linear, start)
    assert x.min() >= 0
    assert x.sum() == pytest.approx(1)
    slope = hessian @ x + linear
    assert x @ slope == pytest.approx(slope.min(), abs=1e-9)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_few_columns_in_plain_python_and_many_by_numpy(monkeypatch, scale):
    """Both ways end in the same minimum, also with columns twice and from a face."""
    rng = np.random.default_rng(1)
    cases = []
    for number in range(60):
        size = int(rng.integers(2, FEW + 1))
        half = scale * rng.normal(size=(size, int(rng.integers(1, 5))))
        linear, start = rng.normal(size=size), rng.dirichlet(np.ones(size))
        if number % 3 == 0:
            half[1], linear[1] = half[0], linear[0]
        if number % 2:
            start[0] = 0.0
            start /= start.sum()
        cases.append((half @ half.T, linear, start))
    plain = [simplex_qp(*case) for case in cases]
    monkeypatch.setattr(simplicial, "FEW", 0)
    for found, case in zip(plain, cases, strict=True):
        hessian, linear, _ = case
        other = simplex_qp(*case)
        one, two = (0.5 * x @ hessian @ x + linear @ x for x in (found, other))
        assert found.min() >= 0
        assert one == pytest.approx(two, abs=1e-12 * max(1.0, scale**2))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ["sum", "eigenvalue", "separate resources"])
def test_minimum_over_mixtures(kind, seed):
    """Bound and value meet at the minimum over the convex hull that a conic solver finds."""
    rng = np.random.default_rng(seed)
    alpha = rng.uniform(0.5, 1.5, (12, 3))
    if kind == "separate resources":
        alpha *= np.eye(3)[np.arange(12) % 3]
    points = np.column_stack((alpha, rng.random(12))) if kind == "sum" else dyad(alpha)
    measure = SumMeasure() if kind == "sum" else EigenvalueMeasure()

    def price(prices):
        best = int((points @ prices).argmin())
        return points[best], best

    start = measure.model(points[0], 1.0).gradient
    found = minimise(measure, price, start)
    x = cp.Variable(12, nonneg=True)
    if kind == "sum":
        value = cp.sum_squares(points[:, :3].T @ x) + points[:, 3] @ x
    else:
        value = cp.lambda_max(sum(x[k] * np.outer(alpha[k], alpha[k]) for k in range(12)))
    best = cp.Problem(cp.Minimize(value), [cp.sum(x) == 1]).solve(solver=cp.CLARABEL)
    assert found.bound == pytest.approx(best, rel=1e-6)
    # Where no column links the resources, prices are only as sharp as the kinks are rounded off.
    assert found.value == pytest.approx(found.bound, rel=1e-6 if "separate" in kind else 1e-9)
    np.testing.assert_allclose(points[found.choices], found.totals)
    assert found.weights.sum() == pytest.approx(1)


def test_stops_at_a_target_or_limit():
    """Neither passes beyond the limit nor work after the bound has reached its target."""
    points = np.random.default_rng(0).random((50, 4))

    def price(prices):
        best = int((points @ prices).argmin())
        return points[best], best

    start = np.append(points[0, :3], 1.0)
    whole = minimise(SumMeasure(), price, start)
    assert minimise(SumMeasure(), price, start, ending=Ending(limit=2)).passes == 2
    early = minimise(SumMeasure(), price, start, ending=Ending(whole.bound * 0.9))
    assert whole.bound * 0.9 <= early.bound
    assert early.passes <= whole.passes
