"""The curves of reports, against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import linregress

from splitopt.bench.reporting.curves import (
    anytime,
    fit_points,
    fit_power_law,
    gap_over_time,
    performance_ratios,
    profile_at,
    profile_steps,
    scaling_points,
    scaling_runs,
    solving_times,
    time_range,
)
from splitopt.bench.reporting.groups import group_rows

INF = math.inf

# Three solvers on four instances. The best times are 1, 2, 4 and 10.
TIMES = np.array(
    [
        [1.0, 4.0, 4.0, INF],  # ratios 1, 2, 1, -
        [2.0, 2.0, INF, 10.0],  # ratios 2, 1, -, 1
        [5.0, INF, 16.0, 40.0],  # ratios 5, -, 4, 4
    ]
)


def test_performance_profile_of_three_solvers_on_four_instances():
    """The profiles have the fractions that counting the ratios by hand gives."""
    ratios = performance_ratios(TIMES)
    np.testing.assert_array_equal(
        ratios, [[1.0, 2.0, 1.0, INF], [2.0, 1.0, INF, 1.0], [5.0, INF, 4.0, 4.0]]
    )
    by_hand = {1.0: (0.5, 0.5, 0.0), 2.0: (0.75, 0.75, 0.0), 4.0: (0.75, 0.75, 0.5)}
    by_hand |= {4.9: (0.75, 0.75, 0.5), 5.0: (0.75, 0.75, 0.75), INF: (0.75, 0.75, 0.75)}
    for tau, fractions in by_hand.items():
        assert tuple(profile_at(row, tau) for row in ratios) == fractions


def test_steps_of_a_profile_are_its_corners():
    """The steps start at 1, rise where the ratios lie and end at the last tau."""
    taus, fractions = profile_steps(performance_ratios(TIMES)[2], 8.0)
    assert taus.tolist() == [1.0, 4.0, 5.0, 8.0]
    assert fractions.tolist() == [0.0, 0.5, 0.75, 0.75]


def test_instance_that_nobody_solves_counts_against_all():
    """An unsolved column stays infinite and remains in the denominator; zero times are ties."""
    ratios = performance_ratios(np.array([[0.0, INF], [0.0, INF]]))
    assert [profile_at(row, INF) for row in ratios] == [0.5, 0.5]
    assert [profile_at(row, 1.0) for row in ratios] == [0.5, 0.5]
    assert profile_at(np.empty(0), 1.0) == 0.0


def test_solving_times_come_from_rows(make_row):
    """Times of solved runs stand in the table; skipped and unsolved ones are infinite."""
    rows = [
        make_row(total_s=2.0),
        make_row(solver="prices", total_s=3.0),
        make_row(instance="two", total_s=4.0),
        make_row(instance="two", solver="prices", value=200.0, total_s=1.0),
        make_row(solver="big", status="skipped", value=None, total_s=None),
    ]
    (group,) = group_rows(rows)
    assert group.started == ("exact", "prices")
    np.testing.assert_array_equal(solving_times(group), [[2.0, 4.0], [3.0, INF]])


def traced(make_row, **changes):
    """Make a run that has 200 at 1 s, 125 at 2 s, and ends with 100 at 4 s."""
    row = make_row(trace=[[1.0, 200.0, None], [2.0, 125.0, 90.0]], total_s=4.0, **changes)
    (group,) = group_rows([row])
    return group


def test_gap_over_time_by_hand(make_row):
    """With 100 as the best value, the gap is 1, then 1/2, 1/5, and 0 at the end."""
    group = traced(make_row)
    times = np.array([0.5, 1.0, 1.9, 2.0, 3.9, 4.0, 99.0])
    gaps = gap_over_time(group.runs[0], 100.0, times)
    np.testing.assert_allclose(gaps, [1.0, 0.5, 0.5, 0.2, 0.2, 0.0, 0.0], atol=1e-15)
    assert time_range(group) == (1.0, 4.0)


def test_trace_cannot_be_better_than_the_checked_value(make_row):
    """Values on the way that nobody checked do not count below the checked one."""
    row = make_row(trace=[[1.0, 10.0, None], [2.0, None, 5.0]], value=200.0, best_known=100.0)
    (group,) = group_rows([row])
    assert gap_over_time(group.runs[0], 100.0, np.array([1.0, 5.0])).tolist() == [0.5, 0.5]


def test_run_without_a_checked_answer_stays_at_one(make_row):
    """A crash has the gap 1 for ever, whatever it traced before."""
    row = make_row(status="crashed", value=None, trace=[[1.0, 100.0, None]], best_known=100.0)
    (group,) = group_rows([row])
    assert gap_over_time(group.runs[0], 100.0, np.array([0.1, 9.0])).tolist() == [1.0, 1.0]


def test_mean_and_median_gap_over_instances(make_row):
    """Instances weigh the same however many seeds they have; a missing run counts as 1."""
    rows = [
        make_row(instance="one", value=100.0, total_s=1.0),
        make_row(instance="two", value=200.0, best_known=100.0, total_s=1.0),
        make_row(instance="two", value=125.0, best_known=100.0, total_s=1.0, seed=1),
        make_row(instance="three", solver="other", value=100.0),
    ]
    (group,) = group_rows(rows)
    curves = anytime(group, np.array([0.5, 2.0]))
    # at 2 s: 0 on one, (0.5 + 0.2) / 2 on two, 1 on three
    np.testing.assert_allclose(curves["exact"].mean, [1.0, 1.35 / 3])
    np.testing.assert_allclose(curves["exact"].median, [1.0, 0.35])
    np.testing.assert_allclose(curves["other"].mean, [1.0, 2 / 3])


def test_no_known_value_gives_no_curves(make_row):
    """Nothing to compare with, nothing to draw."""
    (group,) = group_rows([make_row(value=None, outcome="no_solution")])
    assert anytime(group, np.array([1.0])) == {}
    assert time_range(group) is None


def test_power_law_is_recovered():
    """An exact law gives its exponent and factor with a vanishing standard error."""
    sizes = [10, 30, 100, 300, 1000]
    fit = fit_power_law(sizes, [0.02 * size**1.7 for size in sizes])
    assert fit.exponent == pytest.approx(1.7, abs=1e-12)
    assert fit.factor == pytest.approx(0.02)
    assert fit.standard_error < 1e-10
    assert (fit.points, fit.smallest, fit.largest) == (5, 10, 1000)


def test_fit_agrees_with_scipy():
    """Exponent and standard error are those of SciPy's regression of the logarithms."""
    rng = np.random.default_rng(3)
    sizes = [10, 10, 30, 100, 300, 1000]
    values = [float(0.1 * size**1.2 * np.exp(rng.normal(0, 0.4))) for size in sizes]
    expected = linregress(np.log(sizes), np.log(values))
    fit = fit_power_law(sizes, values)
    assert fit.exponent == pytest.approx(expected.slope)
    assert fit.standard_error == pytest.approx(expected.stderr)
    assert math.log(fit.factor) == pytest.approx(expected.intercept)


def test_too_few_sizes_give_no_exponent():
    """Many points at two sizes fix no law."""
    assert fit_power_law([10, 10, 20, 20], [1.0, 1.1, 2.0, 2.1]) is None
    assert fit_power_law([], []) is None


def scaled(make_row, size, **changes):
    fields = {"suite": "scaling", "instance": f"n{size}", "size": {"devices": size, "layers": 8}}
    return make_row(**{**fields, **changes})


def test_points_that_limits_or_overhead_decide_enter_no_fit(make_row):
    """Of a quadratic law, the run at the limit and the one below the floor are left out."""
    rows = [scaled(make_row, size, total_s=1e-4 * size**2) for size in (20, 40, 80, 160)]
    rows += [scaled(make_row, 5, total_s=5e-3)]
    rows += [scaled(make_row, 5000, total_s=60.0, stop_reason="time")]
    (group,) = group_rows(rows)
    size, runs = scaling_runs(group)
    assert size == "devices"
    points = scaling_points(runs, size, "total_s")["exact"]
    assert [point.limited for point in points] == [False] * 5 + [True]
    fit = fit_points(points, floor=0.01)
    assert fit.exponent == pytest.approx(2.0)
    assert (fit.points, fit.smallest, fit.largest) == (4, 20, 160)
    memory = scaling_points(runs, size, "peak_memory_mib")["exact"]
    assert fit_points(memory).exponent == pytest.approx(0.0, abs=1e-12)
    assert fit_points(memory).points == 6


def test_scaling_takes_medians_over_seeds_and_prefers_its_suite(make_row):
    """Other suites are left out where the scaling suite was run, and used where it was not."""
    rows = [
        scaled(make_row, size, seed=seed, total_s=time)
        for size in (10, 20, 40)
        for seed, time in enumerate((1.0, 2.0, 9.0))
    ]
    (group,) = group_rows([*rows, make_row(total_s=77.0)])
    name, runs = scaling_runs(group)
    values = [point.value for point in scaling_points(runs, name, "total_s")["exact"]]
    assert values == [2.0, 2.0, 2.0]
    (quick,) = group_rows([scaled(make_row, size, suite="quick") for size in (10, 20, 40)])
    assert scaling_runs(quick) is not None
    (two_sizes,) = group_rows([scaled(make_row, size) for size in (10, 20)])
    assert scaling_runs(two_sizes) is None
