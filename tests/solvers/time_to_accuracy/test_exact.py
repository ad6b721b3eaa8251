"""Proved plans against all plans, and their certificates priced anew by another computation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import splitopt
from splitopt.bench.instances.families.time_to_accuracy import fleet, masked, tabulated
from splitopt.problems.compiling import plain
from splitopt.solvers.time_to_accuracy.exact.hull_loops import lowest_of
from tests.solvers.time_to_accuracy.brute_force import drawn, least_time


def agrees(problem):
    """Check the exact solver against all plans; return how many there are, 0 without any."""
    expected, plans = least_time(problem)
    result = splitopt.solve(problem, "exact")
    if not np.isfinite(expected):
        assert result.outcome == "infeasible", result
        assert result.message
        return 0
    assert result.outcome == "optimal", result
    assert result.objective == pytest.approx(expected, rel=1e-10)
    assert not problem.violations(result.decision)
    return plans


@pytest.mark.slow
def test_two_devices_with_many_plans():
    """Up to 28,800 plans of two devices, a hundred times: ties, little memory, no plan at all."""
    plans = [agrees(drawn(seed, 2, 10, 12)) for seed in range(100)]
    assert max(plans) == 28_800
    assert 0 < plans.count(0) < 30


@pytest.mark.one_quick
@pytest.mark.parametrize("seed", range(30))
def test_three_devices(seed):
    """Three devices with fewer choices."""
    agrees(drawn(seed, 3, 3, 4))


def test_infeasible_ones_are_among_these():
    """The instances above hold some without a plan, and some with a table."""
    problems = [drawn(seed, 3, 3, 4) for seed in range(30)]
    assert sum(problem.infeasibility() is not None for problem in problems) >= 3
    assert sum("table" in problem.rounds for problem in problems) == 10


@pytest.mark.parametrize(
    "problem",
    [fleet(3, 12), masked(4, 8, apart=1), tabulated(5, 6, apart=1)],
    ids=["fleet", "masked", "tabulated"],
)
def test_the_certificate_priced_anew(problem):
    """Closed cells hold every plan, and no plan of a cell is below its bound.

    Cells are re-priced by all extreme points of the sum of the devices' hulls, one edge after the
    other by slope: no prices, no triangles.
    """
    result = splitopt.solve(problem, "exact", keep_cells=True)
    assert result.outcome == "optimal"
    cells = result.details["closed"]
    assert result.bound <= min(cell["bound"] for cell in cells if cell["bound"] is not None)
    for cell in cells:
        value = _least_in(problem, cell)
        bound = np.inf if cell["bound"] is None else cell["bound"]
        assert bound <= value * (1 + 1e-12)
    _cover(problem, cells)


def _least_in(problem, cell):
    """Return the least product over a cell's separable plans, with the maxima of its low corner."""
    top = cell["largest_cut"]
    k = int(np.flatnonzero(problem.intervals == cell["aggregation_interval"])[0])
    cuts = range(top) if problem.cuts == "per_device" else [top - 1]
    t = problem.rounds_by_choice[:, top - 1, k]
    u = v = 0.0
    edges = []
    for n in range(problem.devices):
        points = [
            (t[b] / problem.devices, size * problem.server_s[cut])
            for cut in cuts
            for b, size in enumerate(problem.batch_sizes)
            if size <= problem.largest_batch[n, cut]
            and size * problem.out_s[n, cut] <= cell["high_s"][0]
            and size * problem.back_s[n, cut] <= cell["high_s"][1]
            and problem.exchange_s[n, cut] <= cell["high_s"][2]
            and np.isfinite(t[b])
        ]
        if not points:
            return np.inf
        chain = _lower_left(points)
        u, v = u + chain[0][0], v + chain[0][1]
        edges += [(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(chain)]
    v += cell["low_s"][0] + cell["low_s"][1] + cell["low_s"][2] / cell["aggregation_interval"]
    best = u * v
    for du, dv in sorted(edges, key=lambda edge: edge[1] / edge[0]):
        u, v = u + du, v + dv
        best = min(best, u * v)
    return best


def _lower_left(points):
    """Return the lower left chain of the convex hull of some points, from its left end."""
    chain = []
    for point in sorted(set(points)):
        if chain and point[1] >= chain[-1][1]:
            continue
        while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
            chain.pop()
        chain.append(point)
    return chain


def _turn(a, b, c):
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _cover(problem, cells):
    """Check by random plans that each is in some cell: its maxima lie between the corners."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        if problem.cuts == "per_device":
            cut = rng.integers(1, problem.layers + 1, problem.devices)
        else:
            cut = np.full(problem.devices, rng.integers(1, problem.layers + 1))
        plan = problem.complete(
            cut, rng.choice(problem.batch_sizes, problem.devices), rng.choice(problem.intervals)
        )
        if problem.violations(plan):
            continue
        most = problem.device_seconds(plan).max(axis=0)
        maxima = np.array([most[0], most[2], most[3] * plan.aggregation_interval])
        holds = [
            cell["largest_cut"] == plan.cut.max()
            and cell["aggregation_interval"] == plan.aggregation_interval
            and (np.array(cell["low_s"]) <= maxima * (1 + 1e-12)).all()
            and (np.array(cell["high_s"]) >= maxima * (1 - 1e-12)).all()
            for cell in cells
        ]
        assert any(holds)


@pytest.mark.parametrize("seed", range(8))
def test_the_product_over_separable_choices(seed):
    """The triangles find the least of all products, though it need not be a minimum of any sum."""
    rng = np.random.default_rng(seed)
    groups, sizes = 5, 4
    rounds = rng.random(sizes)
    costs, weights = rng.random((groups, sizes)), np.full(groups, 1 / groups)
    costs[rng.random(costs.shape) < 0.2] = np.inf
    costs[:, 1] = np.where(np.isinf(costs[:, 1]), 0.5, costs[:, 1])
    every = np.array(list(itertools.product(range(sizes), repeat=groups)))
    u = rounds[every].mean(axis=1)
    v = costs[np.arange(groups), every].sum(axis=1)
    expected = (u * (0.3 + v)).min()
    choice = np.zeros(groups, dtype=np.int64)
    for loop in (lowest_of, plain(lowest_of)):
        with np.errstate(invalid="ignore"):  # what is no choice costs infinitely much
            best, bound = loop(rounds, costs, weights, 0.3, choice)
        assert best == pytest.approx(expected, rel=1e-12)
        assert bound == pytest.approx(expected, rel=1e-12)
        found = rounds[choice].mean() * (0.3 + costs[np.arange(groups), choice].sum())
        assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 4, 6, 9])
def test_another_solver_proves_the_same(seed):
    """SCIP, on a model with one product, ends at the same value."""
    pytest.importorskip("pyscipopt")
    problem = drawn(seed, 2, 3, 3)
    own = splitopt.solve(problem, "exact")
    other = splitopt.solve(problem, "pyomo:scip_direct", rel_gap=1e-7, time_limit_s=60)
    assert other.outcome in ("optimal", "feasible")
    assert other.objective == pytest.approx(own.objective, rel=1e-6)
    assert other.bound == pytest.approx(own.objective, rel=1e-5)


def test_it_says_how_far_it_came_when_time_is_up():
    """Without time there is a plan, and a bound that is no lie."""
    problem = fleet(0, 30)
    stopped = splitopt.solve(problem, "exact", time_limit_s=0)
    proved = splitopt.solve(problem, "exact")
    assert stopped.outcome == "feasible"
    assert stopped.bound <= proved.objective <= stopped.objective
