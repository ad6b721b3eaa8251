"""Groups of rows: best known values, what counts as solved, names."""

from __future__ import annotations

import math

import pytest

from splitopt import InputError
from splitopt.bench.reporting.groups import group_rows, solver_labels


def only(groups):
    (group,) = groups
    return group


def test_best_value_is_the_lowest_of_table_and_checked_runs(make_row):
    """The library's value and checked values count, those of failed runs do not."""
    rows = [
        make_row(value=103.0, best_known=101.0),
        make_row(solver="prices", value=100.5),
        make_row(solver="liar", status="lied", value=1.0),
        make_row(solver="none", value=None, outcome="no_solution"),
        make_row(instance="two", value=7.0, best_known=5.0),
        make_row(instance="three", value=None, outcome="no_solution"),
    ]
    group = only(group_rows(rows))
    assert group.best == {("one", "d1"): 100.5, ("two", "d1"): 5.0}


def test_tolerance_decides_what_is_solved(make_row):
    """A gap of 1 % is solved at a tolerance of 2 % and not at the default."""
    rows = [make_row(value=99.0, best_known=99.0), make_row(solver="prices", value=100.0)]
    near = only(group_rows(rows)).runs[1]
    assert near.gap == pytest.approx(0.01)
    assert not near.within
    assert near.time_s == math.inf
    assert only(group_rows(rows, 0.02)).runs[1].time_s == 1.0


@pytest.mark.parametrize("tolerance", [-1e-9, math.nan])
def test_tolerance_must_be_a_number_from_zero(make_row, tolerance):
    """A negative tolerance is refused, and so is NaN."""
    with pytest.raises(InputError, match="tolerance"):
        group_rows([make_row()], tolerance)


def test_infeasible_is_solved_where_no_answer_is_known(make_row):
    """The same claim is a proof without an answer of others, and worth nothing with one."""
    claim = {"value": None, "outcome": "infeasible", "stop_reason": "proved"}
    rows = [
        make_row(**claim),
        make_row(instance="two", **claim),
        make_row(instance="two", solver="prices"),
    ]
    right, wrong, _ = only(group_rows(rows)).runs
    assert (right.within, right.proved) == (True, True)
    assert (wrong.within, wrong.proved) == (False, False)


def test_median_time_over_seeds_counts_unsolved_as_infinite(make_row):
    """Of times 1, 3 and unsolved the median is 3; of 1 and unsolved it is infinite."""
    times = [(0, 1.0, 100.0), (1, 3.0, 100.0), (2, 0.5, 150.0)]
    rows = [make_row(seed=seed, total_s=time, value=value) for seed, time, value in times]
    assert only(group_rows(rows)).time_s("exact", ("one", "d1")) == 3.0
    assert only(group_rows(rows[1:])).time_s("exact", ("one", "d1")) == math.inf


def test_changed_numbers_make_another_instance(make_row):
    """The same name with another digest is not compared."""
    group = only(group_rows([make_row(), make_row(instance_digest="d2", value=50.0)]))
    assert len(group.instances) == 2
    assert all(run.within for run in group.runs)


def test_labels_name_only_the_options_that_differ(make_row):
    """Two sets of options become two solvers; what they share is not repeated."""
    rows = [
        make_row(options={"popsize": 5, "tol": 0.1}),
        make_row(options={"popsize": 9, "tol": 0.1}),
        make_row(solver="prices", options={"tol": 0.1}),
    ]
    assert sorted(solver_labels(rows).values()) == [
        "exact (popsize=5)",
        "exact (popsize=9)",
        "prices",
    ]


def test_numbers_that_are_not_finite_are_no_answers(make_row):
    """NaN and infinite values count as none."""
    rows = [make_row(value=math.nan, best_known=math.nan), make_row(solver="b", value=math.inf)]
    group = only(group_rows(rows))
    assert group.best == {}
    assert [run.gap for run in group.runs] == [math.inf, math.inf]
