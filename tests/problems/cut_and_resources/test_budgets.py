"""Budgets of a problem: read strictly, kept in files, counted by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from splitopt import CutAndResources, InputError, load_problem

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
        "the budget 'memory' is 4.5, and the cuts that use least of it take 5, which is 0.5 more: "
        "raise the limit to that"
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
