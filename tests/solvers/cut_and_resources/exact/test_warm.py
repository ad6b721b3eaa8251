"""Starting from an old plan and old prices: what stale prices prove, and who takes what."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import CapabilityError, CutAndResources, InputError, solve
from splitopt.bench.instances.families.cut_and_resources import server_memory
from splitopt.solvers.cut_and_resources.relaxation import root_bound
from splitopt.solvers.cut_and_resources.warm import WarmTables, follow

OBJECTIVES = ("sum", "makespan")


def draw(seed, devices, objective, scales=(1, 1, 1, 1), layers=6):
    """Return a fleet whose tables may be scaled one by one."""
    rng = np.random.default_rng(seed)
    x = np.arange(1, layers + 1) / layers
    shapes = (2 * (1 - x) + 0.1, 3 * (1 - x) + 0.1, 2 * (1 - x), 0.4 * devices * x)
    size = rng.uniform(0.5, 2, (devices, 1))
    rows = [size * shape * rng.uniform(0.6, 1.4, (devices, layers)) for shape in shapes]
    return CutAndResources(
        *(scale * row for scale, row in zip(scales, rows, strict=True)), objective=objective
    )


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_stale_prices_prove_what_re_solving_does_not_refute(objective):
    """After one table is scaled the bound holds, the plan is near, and the gap is what it says."""
    for seed, devices in ((0, 12), (1, 40)):
        before = solve(draw(seed, devices, objective))
        prices, cuts = np.array(before.details["prices"]), before.decision.cut - 1
        for table in range(4):
            for factor in (0.5, 3.0):
                scales = [factor if i == table else 1 for i in range(4)]
                problem = draw(seed, devices, objective, scales)
                found = follow(WarmTables.of(problem), cuts, prices)
                best = solve(problem).objective
                assert found.bound <= best * (1 + 1e-9)
                assert found.bound <= root_bound(problem) * (1 + 1e-9)
                assert found.value == pytest.approx(
                    problem.evaluate(problem.complete(found.cuts + 1))
                )
                assert best * (1 - 1e-9) <= found.value <= best * 1.004
                assert found.bound >= best * 0.97


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_gap_that_is_enough_ends_the_run(objective):
    """With a start, prices and a gap the run ends without the tree; the result carries prices."""
    before = solve(draw(4, 200, objective))
    problem = draw(4, 200, objective, (1, 1, 1.3, 1))
    warm = solve(problem, start=before.decision, prices=before.details["prices"], rel_gap=2e-3)
    cold = solve(problem)
    assert warm.solver == "exact"
    assert warm.stop_reason in ("gap", "proved")
    assert warm.details["nodes"] == 0
    assert warm.gap <= 2e-3
    assert warm.bound <= cold.objective * (1 + 1e-9) <= warm.objective * (1 + 2e-9)
    assert len(warm.details["prices"]) == 3
    again = solve(problem, start=warm.decision.to_dict(), prices=warm.details["prices"])
    assert again.outcome == "optimal"
    assert again.objective == pytest.approx(cold.objective, rel=2e-9)


def test_any_number_of_resources_and_sum_of_prices():
    """Choices on five resources start from five prices, however bad."""
    rng = np.random.default_rng(3)
    for objective in OBJECTIVES:
        problem = CutAndResources.of_choices(
            rng.uniform(0, 2, (6, 3, 5)), rng.uniform(0, 4, (6, 3)), objective
        )
        best = solve(problem).objective
        for prices in (np.zeros(5), np.array([1e6, 1.0, 0.0, 1e-9, 2.0]), rng.uniform(0, 9, 5)):
            found = follow(WarmTables.of(problem), np.zeros(6, dtype=np.int64), prices)
            assert found.bound <= best * (1 + 1e-9)
            assert found.value >= best * (1 - 1e-9)
            assert solve(problem, prices=prices).objective == pytest.approx(best, rel=2e-9)


@pytest.mark.parametrize(
    ("solver", "options"),
    [
        ("exact", {}),
        ("block_descent", {}),
        ("random_search", {"max_evaluations": 5}),
        ("dual_annealing", {"max_evaluations": 5}),
        ("differential_evolution", {"max_evaluations": 8, "population": 6}),
    ],
)
def test_what_starts_from_a_plan_is_no_worse(solver, options):
    """From the optimum every one of them gives the optimum back."""
    problem = draw(8, 9, "sum")
    best = solve(problem)
    found = solve(problem, solver, start=best.decision, **options)
    assert found.objective <= best.objective * (1 + 1e-9)


def test_prices_save_rounds_of_messages():
    """`price_consensus` begins with the prices of the last run."""
    problem = draw(9, 8, "sum")
    cold = solve(problem, "price_consensus")
    warm = solve(problem, "price_consensus", prices=cold.details["prices"])
    assert warm.objective == pytest.approx(cold.objective)
    assert warm.details["rounds"] <= cold.details["rounds"]


def test_budgets_start_from_a_plan_that_may_exceed_them():
    """A start within the budgets is used, and one beyond them does no harm."""
    problem = server_memory(3, 12)
    best = solve(problem)
    assert solve(problem, start=best.decision).objective == pytest.approx(best.objective)
    free = solve(problem.with_budgets(None))
    assert solve(problem, start=free.decision).objective == pytest.approx(best.objective)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"prices": [1.0, 2.0]}, "prices: is 2, it must be 3 entries"),
        ({"prices": [1.0, 2.0, -1.0]}, r"prices\[2\]"),
        ({"prices": "cheap"}, "prices"),
        ({"start": [1, 2]}, "start: is no decision of this problem"),
        ({"start": {"cut": [1]}}, "start: is no decision of this problem"),
    ],
)
def test_what_does_not_fit_is_named(arguments, words):
    """Wrong lengths and shapes are refused before anything runs."""
    with pytest.raises(InputError, match=words):
        solve(draw(0, 3, "sum"), **arguments)


def test_a_plan_of_another_fleet_is_refused():
    """Its length is not that of the problem."""
    other = solve(draw(0, 4, "sum")).decision
    with pytest.raises(InputError, match=r"start: is no decision of this problem .* 4 entries"):
        solve(draw(0, 3, "sum"), start=other)


def test_who_cannot_says_so():
    """Rules use neither; the message names who does."""
    problem = draw(0, 3, "sum")
    plan = solve(problem).decision
    with pytest.raises(CapabilityError, match=r"does not start from a decision .* exact"):
        solve(problem, "equal_share", start=plan)
    with pytest.raises(CapabilityError, match=r"does not start from prices .* exact"):
        solve(problem, "block_descent", prices=[1, 1, 1])
