"""Side budgets: every solver against brute force on small degenerate instances."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest

from splitopt import CapabilityError, CutAndResources, solve
from splitopt.solvers.cut_and_resources.relaxation import root_bound
from splitopt.solvers.registry import SOLVERS, capable, solver_class, why_not

KINDS = ("plain", "ties", "zeros", "identical", "scales", "banned", "one_device")
LIMITS = ("tight", "slack", "middle", "zero", "infeasible")


def instance(seed, objective, budgets=1, limits=None, kind=None, devices=4, layers=3):
    """Draw a small instance that is degenerate on purpose, with integer uses."""
    rng = np.random.default_rng([seed, budgets])
    kind = kind or KINDS[seed % len(KINDS)]
    devices = 1 if kind == "one_device" else devices
    tables = rng.uniform(0.5, 20.0, (4, devices, layers))
    allowed = np.ones((devices, layers), dtype=bool)
    use = rng.integers(0, 6, (devices, layers, budgets)).astype(float)
    if kind == "ties":
        tables = rng.integers(1, 3, tables.shape).astype(float)
        use = rng.integers(0, 2, use.shape).astype(float)
    elif kind == "zeros":
        tables[rng.random(tables.shape) < 0.5] = 0.0
        use[rng.random(use.shape) < 0.5] = 0.0
    elif kind == "identical":
        tables, use = np.repeat(tables[:, :1], devices, axis=1), np.repeat(use[:1], devices, axis=0)
    elif kind == "scales":
        tables *= 10.0 ** rng.integers(-6, 7, tables.shape)
        use *= 10.0 ** rng.integers(0, 9)
    elif kind == "banned":
        allowed = rng.random(allowed.shape) < 0.6
        allowed[np.arange(devices), rng.integers(0, layers, devices)] = True
    found = []
    for b in range(budgets):
        within = np.where(allowed, use[:, :, b], np.inf)
        least = within.min(axis=1).sum()
        most = np.where(allowed, use[:, :, b], 0.0).max(axis=1).sum()
        limit = {
            "tight": least,
            "slack": most,
            "middle": least + np.floor(rng.uniform(0, 1) * (most - least)),
            "zero": 0.0,
            "infeasible": max(0.0, least - 1),
        }[(limits or LIMITS)[int(rng.integers(len(limits or LIMITS)))]]
        found.append({"name": f"b{b}", "use": use[:, :, b], "limit": float(limit)})
    return CutAndResources(*tables, allowed, objective, budgets=found)


@cache
def _vectors(devices, layers):
    return np.array(list(itertools.product(range(layers), repeat=devices)))


def brute_force(problem):
    """Return the least value over all vectors of cuts within the budgets, inf if there are none.

    The sum is (sum of roots)^2 per resource (Cauchy-Schwarz). A deadline T can be met if the
    largest eigenvalue of sum alpha alpha^T / (T - d) is at most 1: bisection for all at once.
    """
    cuts, rows = _vectors(problem.devices, problem.layers), np.arange(problem.devices)
    keep = problem.allowed[rows, cuts].all(axis=1)
    for entry in problem.data()["budgets"]:
        keep &= entry["use"][rows, cuts].sum(axis=1) <= entry["limit"]
    cuts = cuts[keep]
    if not len(cuts):
        return np.inf
    need = np.stack((problem.download_s, problem.upload_s, problem.server_s), axis=2)
    alpha, device = np.sqrt(need[rows, cuts]), problem.device_s[rows, cuts]
    if problem.objective == "sum":
        return float(((alpha.sum(axis=1) ** 2).sum(axis=1) + device.sum(axis=1)).min())
    low = device.max(axis=1)
    high = low + (alpha.sum(axis=1) ** 2).sum(axis=1) + 1e-300
    outer = alpha[:, :, :, None] * alpha[:, :, None, :]
    for _ in range(200):
        middle = (low + high) / 2
        left = middle[:, None] - device
        with np.errstate(divide="ignore", invalid="ignore"):
            part = np.where(outer > 0, outer / left[:, :, None, None], 0.0)
        part = np.where(np.isfinite(part), part, 1e150)
        late = np.linalg.eigvalsh(part.sum(axis=1))[:, -1] <= 1
        high, low = np.where(late, middle, high), np.where(late, low, middle)
    return float(high.min())


def check(problem, solver, exact, seed, best):
    """Compare an answer with the best of brute force; return whether it has a decision."""
    result = solve(problem, solver, seed=0, time_limit_s=30)
    where = f"{solver}, seed {seed}, {problem.objective}: {result.outcome} {result.message}"
    if np.isinf(best):
        assert result.outcome == ("infeasible" if exact else result.outcome), where
        assert not result.is_feasible, where
        return False
    assert result.bound <= best * (1 + 1e-9), where
    if result.is_feasible:
        assert not problem.violations(result.decision), where
        assert result.objective >= best * (1 - 1e-9), where
    if exact:
        assert result.is_feasible, where
        assert result.objective == pytest.approx(best, rel=1e-6, abs=1e-12), where
    if solver in ("exact", "enumerate"):
        assert result.outcome == "optimal", where
    return result.is_feasible


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["sum", "makespan"])
@pytest.mark.parametrize("budgets", [1, 2])
def test_exact_and_enumerate_against_brute_force(objective, budgets):
    """Ties, zeros, twelve decades; budgets tight, slack, zero and too small."""
    feasible = 0
    seeds = 100 if objective == "sum" else 50
    for seed in range(seeds):
        problem = instance(seed, objective, budgets)
        best = brute_force(problem)
        feasible += check(problem, "exact", True, seed, best)
        check(problem, "enumerate", True, seed, best)
    assert 0.3 * seeds < feasible < 0.9 * seeds


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["sum", "makespan"])
@pytest.mark.parametrize("budgets", [1, 2, 3])
def test_exact_against_brute_force_at_length(objective, budgets):
    """More instances, larger ones, and the tree instead of listing plans."""
    from splitopt.solvers.cut_and_resources.exact import Exact

    for seed in range(150):
        problem = instance(1000 + seed, objective, budgets, ("tight", "middle"), devices=5)
        best = brute_force(problem)
        result = solve(problem, Exact(max_listed=1))
        assert result.outcome == ("infeasible" if np.isinf(best) else "optimal"), seed
        if np.isfinite(best):
            assert result.objective == pytest.approx(best, rel=1e-6, abs=1e-12), seed


@pytest.mark.one_quick
@pytest.mark.parametrize("objective", ["sum", "makespan"])
@pytest.mark.parametrize(
    "solver",
    [
        "block_descent",
        "equal_share",
        "random_search",
        "differential_evolution",
        "dual_annealing",
        "genetic",
        "sf3af",
    ],
)
def test_heuristics_keep_budgets(objective, solver):
    """Whatever is proposed keeps the budget, and with one budget something always is."""
    options = (
        {"max_evaluations": 60}
        if hasattr(solver_class("cut_and_resources", solver), "max_evaluations")
        else {}
    )
    for seed in range(12):
        problem = instance(seed, objective, 1, ("tight", "middle", "zero"))
        if why_not(solver_class(problem.name, solver)(), problem):
            continue
        best = brute_force(problem)
        result = solve(problem, solver, **options)
        assert result.is_feasible == np.isfinite(best), (seed, result.message)
        if result.is_feasible:
            assert not problem.violations(result.decision)
            assert result.objective >= best * (1 - 1e-9)
            assert result.bound <= best * (1 + 1e-9)


@pytest.mark.one_quick
@pytest.mark.parametrize("objective", ["sum", "makespan"])
@pytest.mark.parametrize("solver", ["scip", "gurobi", "cvxpy:SCIP", "pyomo:scip_direct"])
def test_back_ends_against_brute_force(objective, solver):
    """The linear row of the models means the same as the budget."""
    for seed in range(3 if objective == "makespan" else 7):
        problem = instance(seed, objective, 2, ("tight", "middle"), kind="plain", devices=3)
        check(problem, solver, True, seed, brute_force(problem))


def test_who_cannot_is_refused_by_name():
    """Those without a price for budgets say so and name those that can."""
    problem = instance(0, "sum", 1, ("middle",), kind="plain")
    for solver in ("dp_mora", "price_consensus"):
        with pytest.raises(CapabilityError, match=r"cannot take budgets \(b0\).*exact, enumerate"):
            solve(problem, solver)
    fitting = set(capable(problem))
    assert set(SOLVERS["cut_and_resources"]) - fitting >= {"dp_mora", "price_consensus"}
    assert {"exact", "enumerate", "block_descent", "random_search", "equal_share"} <= fitting


def test_prescribed_cuts_over_a_budget_are_refused():
    """Baselines whose cuts are given cannot move them."""
    use = np.array([[1.0, 2.0, 3.0]] * 3)
    tables = np.ones((4, 3, 3))
    problem = CutAndResources(
        *tables, np.ones((3, 3), bool), budgets=[{"name": "memory", "use": use, "limit": 6.0}]
    )
    with pytest.raises(CapabilityError, match="prescribes cuts that exceed budget memory"):
        solve(problem, "faaf")
    assert solve(problem, "fsaf").decision.cut.tolist() == [1, 1, 1]
    with pytest.raises(CapabilityError, match="exceed budget memory"):
        solve(problem, "sf3af", cuts=(3, 3, 3))


@pytest.mark.one_quick
@pytest.mark.parametrize("objective", ["sum", "makespan", "energy", "latency_energy"])
def test_all_objectives_keep_budgets(objective):
    """Priorities and energy change the plain problem, not the budget."""
    rng = np.random.default_rng(5)
    for seed in range(10):
        base = instance(seed, "sum", 1, ("middle",), kind="plain")
        extra = {
            "priority": rng.uniform(0.5, 2, 4),
            "device_w": rng.uniform(1, 5, 4),
            "radio_w": rng.uniform(0, 2, 4),
            "seconds_per_joule": 0.3,
        }
        problem = CutAndResources.from_data({**base.data(), **extra}, objective)
        result = solve(problem)
        values = [
            problem.evaluate(problem.complete(cuts + 1))
            for cuts in _vectors(4, 3)
            if not problem.violations(problem.complete(cuts + 1))
        ]
        assert result.outcome == "optimal"
        assert result.objective == pytest.approx(min(values), rel=1e-9)


@pytest.mark.parametrize("objective", ["sum", "makespan"])
def test_factors_and_tables_agree(objective):
    """Classes with counts have the budget of the same devices one by one, with the same optimum."""
    rng = np.random.default_rng(2)
    tables, use = rng.uniform(0.5, 10, (4, 2, 3)), rng.integers(0, 5, (2, 3)).astype(float)
    count = np.array([3, 2])
    factors = {"count": count}
    for name, table in zip(("download", "upload", "server", "device"), tables, strict=True):
        factors |= {f"{name}_scales": table.T, f"{name}_shapes": np.eye(3)}
    limit = float(count @ use.min(axis=1)) + 4
    entry = {"name": "memory", "limit": limit}
    small = CutAndResources.from_factors(factors, objective, budgets=[{**entry, "use": use}])
    spread = np.repeat(tables, count, axis=1)
    full = [{**entry, "use": np.repeat(use, count, axis=0)}]
    large = CutAndResources(*spread, np.ones((5, 3), bool), objective, budgets=full)
    best = brute_force(large)
    for problem in (small, large, small.with_objective(objective)):
        found = solve(problem)
        assert found.outcome == "optimal"
        assert found.objective == pytest.approx(best, rel=1e-6)
        assert not problem.violations(found.decision)
    assert small.with_budgets(None).budgets is None


def test_two_budgets_that_exclude_each_other():
    """Each can be kept by itself, both cannot: proved, and said with both numbers."""
    use = np.array([[0.0, 1.0]] * 3)
    budgets = [
        {"name": "a", "use": use, "limit": 1.0},
        {"name": "b", "use": use[:, ::-1].copy(), "limit": 1.0},
    ]
    problem = CutAndResources(*np.ones((4, 3, 2)), np.ones((3, 2), bool), budgets=budgets)
    for solver in ("exact", "enumerate", "random_search", "scip"):
        result = solve(problem, solver)
        assert result.outcome == "infeasible"
        assert "no cuts keep all budgets together" in result.message
        assert "'a' takes at least 0 of 1" in result.message


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["sum", "makespan"])
def test_large_fleets_have_a_certified_gap(objective):
    """Ten thousand unlike devices in a second and a half: bound and plan are close."""
    from splitopt.bench.instances.families.cut_and_resources import bounded

    base = bounded(1, 10_000)
    use = base.weights[:, None] * np.linspace(1, 0, base.layers)
    free = solve(base.with_objective(objective)).decision.cut
    limit = 0.6 * float(use[np.arange(base.devices), free - 1].sum())
    budgets = [{"name": "memory", "use": use, "limit": limit}]
    problem = CutAndResources.from_data({**base.data(), "budgets": budgets}, objective)
    result = solve(problem, time_limit_s=1.5)
    assert result.is_feasible
    assert result.gap < 1e-3


def test_too_large_tables_are_refused_with_a_reason():
    """The limit is on what is held in tables, and the way out is named."""
    from splitopt.solvers.cut_and_resources.exact import solver as exact

    problem = instance(0, "sum", 1, ("middle",), kind="plain")
    before = exact._MOST_HELD
    try:
        exact._MOST_HELD = 5
        with pytest.raises(CapabilityError, match="holds them in tables"):
            solve(problem, "exact")
    finally:
        exact._MOST_HELD = before


def test_the_price_of_a_budget_by_hand():
    """One device mixes two cuts in the relaxation: the price is the seconds per unit of use."""
    zero = np.zeros((4, 2))
    device = np.array([[1.0, 3.0]] * 4)
    use = np.array([[4.0, 0.0]] * 4)
    budgets = [{"name": "memory", "use": use, "limit": 10.0}]
    problem = CutAndResources(
        zero, zero, zero, device, np.ones((4, 2), bool), "sum", budgets=budgets
    )
    result = solve(problem, "exact")
    assert result.objective == pytest.approx(2 * 1 + 2 * 3)  # two fit, 10 / 4 of them in halves
    # 2.5 devices at 1 s and 1.5 at 3 s: 7 s, and 4 units of use save 2 s
    assert root_bound(problem) == pytest.approx(7.0, rel=1e-6)
    assert result.details["budget_prices"]["memory"] == pytest.approx(0.5, rel=1e-6)


@pytest.mark.parametrize("objective", ["sum", "makespan"])
def test_prices_of_a_similar_problem_start_the_search(objective):
    """The answer is the same, and the prices are those of the resources alone."""
    from splitopt.bench.instances.families.cut_and_resources import server_memory

    problem = server_memory(3, 12).with_objective(objective)
    first = solve(problem)
    again = solve(problem, prices=tuple(first.details["prices"]))
    assert again.outcome == first.outcome == "optimal"
    assert again.objective == pytest.approx(first.objective, rel=2e-9)
    assert len(first.details["prices"]) == 3
