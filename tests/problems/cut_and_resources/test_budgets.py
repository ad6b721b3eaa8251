"""Budgets of a problem: read strictly, kept in files, counted by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from splitopt import CutAndResources, InfeasibleError, InputError, load_problem
from splitopt.solvers.cut_and_resources.relaxation.budget_measure import BudgetMeasure
from splitopt.solvers.cut_and_resources.relaxation.grouping import budget_fleet
from splitopt.solvers.cut_and_resources.relaxation.measures import EigenvalueMeasure, SumMeasure
from splitopt.solvers.cut_and_resources.repair import repaired

USE = np.array([[3.0, 1.0], [2.0, 0.0], [5.0, 4.0]])


def problem(*budgets, **changes):
    """Return three devices with two cuts each."""
    tables = np.arange(1.0, 25.0).reshape(4, 3, 2)
    allowed = np.ones((3, 2), dtype=bool)
    return CutAndResources(*tables, allowed, **changes, budgets=list(budgets) or None)


def memory(limit, use=USE, name="memory"):
    return {"name": name, "use": use, "limit": limit}


def test_use_and_violations_by_hand():
    """Cuts 1, 2, 1 use 3 + 0 + 5."""
    asked = problem(memory(7.5), memory(100, 2 * USE, "other"))
    decision = asked.complete(np.array([1, 2, 1]))
    assert asked.budgets.used(decision.cut).tolist() == [8.0, 16.0]
    assert asked.violations(decision) == {"budget memory": pytest.approx(0.5)}
    assert not asked.violations(asked.complete(np.array([2, 2, 1])))
    assert asked.budgets.excess(np.array([[1, 2, 1], [2, 2, 1]])).tolist() == [
        pytest.approx(0.5 / 7.5),
        0.0,
    ]


def test_the_least_use_is_named_where_it_is_too_much():
    """The least is 1 + 0 + 4; a cut that is not allowed does not count."""
    assert problem(memory(5.0)).infeasibility() is None
    assert problem(memory(4.5)).infeasibility() == (
        "the budget 'memory' is 4.5, and the cuts that use least of it take 5: raise the limit "
        "to that"
    )
    allowed = np.array([[True, False], [True, True], [True, True]])
    assert "take 7" in problem(memory(6.5)).restricted(allowed).infeasibility()
    assert problem(memory(4.5)).bound() == np.inf


def test_files_keep_budgets(tmp_path):
    """JSON and archives, tables and factors; old files have none."""
    two = problem(memory(7.5), memory(9.0, USE**2, "other energy"), objective="makespan")
    factors = {"count": [2, 1]}
    for name in ("download", "upload", "server", "device"):
        factors |= {f"{name}_scales": [[1.0, 2.0]], f"{name}_shapes": [[1.0, 3.0]]}
    few = CutAndResources.from_factors(factors, budgets=[memory(9.0, USE[:2])])
    assert few.budgets.used(np.array([1, 2, 1])).tolist() == [3.0 + 1.0 + 2.0]
    for asked in (two, few):
        for suffix in ("json", "npz"):
            path = tmp_path / f"instance.{suffix}"
            asked.save(path)
            read = load_problem(path)
            assert read.budgets.names == asked.budgets.names
            np.testing.assert_array_equal(read.budgets.table(), asked.budgets.table())
            np.testing.assert_array_equal(read.budgets.limit, asked.budgets.limit)
            assert read.objective == asked.objective
    old = json.loads(json.dumps(problem().to_document()))
    assert "budgets" not in old["data"]
    assert CutAndResources.from_data(old["data"], "sum").budgets is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("memory", r"budgets: must be a list"),
        ([{"name": "a", "use": USE}], r"budgets\[0\]: the field 'limit' is missing"),
        ([memory(1.0) | {"unit": "B"}], r"budgets\[0\]: the field 'unit' is unknown"),
        ([memory(-1.0)], r"budgets\[0\]\.limit: is -1"),
        ([memory(float("nan"))], r"budgets\[0\]\.limit: is nan"),
        ([memory(True)], r"budgets\[0\]\.limit: is True"),
        ([memory(1.0, -USE)], r"budgets\[0\]\.use\[0\]\[0\]: is -3\.0"),
        ([memory(1.0, USE[:2])], r"budgets\[0\]\.use: is 2 x 2, it must be 3 x 2"),
        ([memory(1.0), memory(2.0)], r"budgets\[1\]\.name: is 'memory', which stands twice"),
        ([memory(1.0, name=" ")], r"budgets\[0\]\.name: is ' '"),
    ],
)
def test_what_does_not_fit_is_refused(value, message):
    """Names, shapes, signs and unknown fields, each by its place."""
    data = problem().data() | {"budgets": value}
    with pytest.raises(InputError, match=message):
        CutAndResources.from_data(data, "sum")


def test_repair_moves_the_cheapest_relief_first():
    """Device 1 frees 2 for 1 s, device 0 frees 2 for 5 s, device 2 frees 1 for 9 s."""
    asked = problem(memory(8.0))
    cost = np.array([[0.0, 5.0], [0.0, 1.0], [0.0, 9.0]])
    start = np.array([1, 1, 1])  # uses 10
    assert repaired(asked, start, cost).tolist() == [1, 2, 1]
    assert repaired(problem(memory(5.0)), start, cost).tolist() == [2, 2, 2]
    assert repaired(problem(memory(4.0)), start, cost) is None
    assert repaired(problem(memory(10.0)), start, cost).tolist() == [1, 1, 1]


def test_cuts_that_no_plan_can_have_are_dropped():
    """With everybody else at the least, 5 units, device 0 cannot take 2 more of 6.5."""
    fleet = budget_fleet(problem(memory(6.5)))
    assert np.isfinite(fleet.device_s).tolist() == [[False, True], [False, True], [True, True]]
    assert fleet.use is None  # what is left cannot exceed it
    loose = budget_fleet(problem(memory(8.0), memory(1000.0, name="free")))
    assert loose.budgets == ("memory",)
    np.testing.assert_allclose(loose.use[:, :, 0], USE / 8.0, rtol=1e-8)
    opposed = problem(memory(5.0), memory(5.0, USE[:, ::-1].copy(), "other"))
    with pytest.raises(InfeasibleError, match="no cuts keep all budgets together"):
        budget_fleet(opposed)


@pytest.mark.parametrize("inner", [SumMeasure(), EigenvalueMeasure()])
def test_the_gradient_of_the_measure_by_differences(inner):
    """Value, gradient and Hessian of the soft measure agree with central differences."""
    rng = np.random.default_rng(0)
    size = 4 if isinstance(inner, SumMeasure) else 6
    measure = BudgetMeasure(inner, np.array([3.0, 20.0]))
    total = np.concatenate((rng.uniform(0.5, 1, size), [0.98, 1.01]))
    model = measure.model(total, 0.1)
    assert model.value == pytest.approx(measure.soft_value(total, 0.1))
    step = 1e-6
    for i in range(len(total)):
        ahead, back = total.copy(), total.copy()
        ahead[i] += step
        back[i] -= step
        slope = (measure.soft_value(ahead, 0.1) - measure.soft_value(back, 0.1)) / (2 * step)
        assert model.gradient[i] == pytest.approx(slope, rel=1e-5, abs=1e-7)
        bend = (measure.model(ahead, 0.1).gradient - measure.model(back, 0.1).gradient) / (2 * step)
        np.testing.assert_allclose(model.hessian[i], bend, rtol=1e-4, atol=1e-5)


def test_the_measure_counts_what_exceeds():
    """Half of a budget too much costs half its weight; sure answers keep the budgets."""
    measure = BudgetMeasure(SumMeasure(), np.array([10.0]))
    totals = np.array([[1.0, 0, 0, 2.0, 1.5], [2.0, 0, 0, 0.0, 1.0], [3.0, 0, 0, 0.0, 0.2]])
    assert measure.values(totals).tolist() == [pytest.approx(3 + 5), 4.0, 9.0]
    assert measure.smallest(totals) == (1, 4.0)
    assert measure.smallest(totals[:1])[1] == np.inf
    price = np.array([4.0, 0, 0, 1.0, 7.0])
    assert measure.constant(price) == -16 / 4 - 7
