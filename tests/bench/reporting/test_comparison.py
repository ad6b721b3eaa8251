"""Comparing result files: planted changes are found, noise is called noise."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import ttest_1samp

from splitopt.bench.reporting.comparison import compare, interval
from splitopt.bench.reporting.paired import repeat_spread


def timed_rows(make_row, times, solver="exact", **changes):
    return [
        make_row(instance=f"i{index}", solver=solver, total_s=float(time), **changes)
        for index, time in enumerate(times)
    ]


def only_ratio(comparison):
    (ratio,) = comparison.ratios
    return ratio


@pytest.fixture
def times():
    """Return the times of ten instances over two decades."""
    return np.geomspace(0.1, 10.0, 10)


def test_planted_slowdown_is_a_regression(make_row, times):
    """Twice the time, with 5 % of noise, is found with a ratio near 2."""
    noise = np.exp(np.random.default_rng(0).normal(0, 0.05, 10))
    found = compare(timed_rows(make_row, times), timed_rows(make_row, 2 * times * noise))
    ratio = only_ratio(found)
    assert ratio.verdict == "slower"
    assert found.regressed
    assert ratio.low < 2 < ratio.high
    assert ratio.ratio == pytest.approx(2 * np.exp(np.log(noise).mean()))
    back = only_ratio(compare(timed_rows(make_row, 2 * times * noise), timed_rows(make_row, times)))
    assert back.verdict == "faster"
    assert back.ratio == pytest.approx(1 / ratio.ratio)


def test_pure_noise_is_noise(make_row, times):
    """Files that differ by noise alone are told apart in at most 5 % of 200 comparisons.

    The probability of more than 20 of 200 at the stated 5 % is below 0.002.
    """
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(200):
        noisy = [times * np.exp(rng.normal(0, 0.3, 10)) for _ in range(2)]
        found = compare(timed_rows(make_row, noisy[0]), timed_rows(make_row, noisy[1]))
        alarms += only_ratio(found).verdict != "noise"
    assert alarms <= 20


@pytest.mark.slow
def test_many_solvers_share_the_error_probability(make_row, times):
    """Of twelve solvers with noise alone, rarely any is called changed."""
    rng = np.random.default_rng(2)
    alarms = 0
    for _ in range(40):
        sides = [
            [
                row
                for solver in range(12)
                for row in timed_rows(
                    make_row, times * np.exp(rng.normal(0, 0.3, 10)), f"s{solver}"
                )
            ]
            for _ in range(2)
        ]
        alarms += any(one.verdict in ("slower", "faster") for one in compare(*sides).ratios)
    assert alarms <= 7  # at 5 % each time, more has a probability below 0.002


def test_same_file_has_no_difference(make_row, times):
    """A file against itself has the ratio 1 and no change."""
    rows = timed_rows(make_row, times)
    found = compare(rows, rows)
    assert only_ratio(found).ratio == 1.0
    assert only_ratio(found).verdict == "noise"
    assert not found.regressed
    assert (found.regressions, found.improvements, found.only_a, found.only_b) == ((), (), (), ())


def test_interval_is_that_of_the_t_test():
    """The interval agrees with SciPy's one-sample t-test."""
    logs = [0.1, 0.4, -0.2, 0.3]
    expected = ttest_1samp(logs, 0.0).confidence_interval(0.9)
    assert interval(logs, 0.9) == pytest.approx((expected.low, expected.high))


def test_short_times_are_no_regression(make_row):
    """From 1 to 9 ms is nothing, from 5 to 100 ms counts from the floor of 10 ms on."""
    short = compare(timed_rows(make_row, [0.001] * 5), timed_rows(make_row, [0.009] * 5))
    assert only_ratio(short).verdict == "too few"
    assert only_ratio(short).instances == 0
    longer = compare(timed_rows(make_row, [0.005] * 5), timed_rows(make_row, [0.1] * 5))
    assert only_ratio(longer).ratio == pytest.approx(10.0)


def test_two_instances_are_too_few(make_row):
    """Nothing is said about times from two instances, however many seeds they have."""
    sides = [
        [row for seed in range(5) for row in timed_rows(make_row, [time, time], seed=seed)]
        for time in (1.0, 3.0)
    ]
    ratio = only_ratio(compare(*sides))
    assert ratio.verdict == "too few"
    assert (ratio.pairs, ratio.instances) == (10, 2)
    assert ratio.ratio == pytest.approx(3.0)


def repeated(make_row, times, spread):
    """Rows of each instance twice, a factor `spread` apart, around the given times."""
    return [
        row
        for factor in (spread**-0.5, spread**0.5)
        for row in timed_rows(make_row, np.asarray(times) * factor)
    ]


def test_ratio_below_the_repeat_spread_is_noise(make_row, times):
    """A steady 20 % is noise where repeats differ by a factor of 2, else a change."""
    noisy = only_ratio(
        compare(repeated(make_row, times, 2.0), repeated(make_row, 1.2 * times, 2.0))
    )
    assert noisy.spread == pytest.approx(math.exp(math.log(2) / math.sqrt(2)))
    assert (noisy.verdict, noisy.reason) == ("noise", "within the spread between repeats")
    calm = only_ratio(
        compare(repeated(make_row, times, 1.01), repeated(make_row, 1.2 * times, 1.01))
    )
    assert calm.verdict == "slower"


def test_repeat_spread_falls_back_to_seeds(make_row):
    """Without exact repeats, runs that differ in the seed stand in; without those it is unknown."""
    rows = [make_row(seed=0, total_s=1.0), make_row(seed=1, total_s=math.e)]
    assert repeat_spread(rows) == pytest.approx(math.sqrt(0.5))
    assert repeat_spread(rows[:1]) is None
    exact = [*rows, make_row(seed=0, total_s=1.0), make_row(seed=1, total_s=math.e)]
    assert repeat_spread(exact) == 0.0
    limited = [make_row(seed=seed, total_s=60.0, stop_reason="time") for seed in range(3)]
    assert repeat_spread(limited) is None


FAILED = {"value": None, "outcome": None, "total_s": None}
PROOF = {"outcome": "optimal", "stop_reason": "proved"}
CHANGES = [
    (PROOF, {}, "status", "regressions"),
    ({}, {"status": "crashed", "message": "broke", **FAILED}, "status", "regressions"),
    ({}, {"status": "skipped", **FAILED}, "status", "regressions"),
    ({}, {"outcome": "no_solution", "value": None}, "status", "regressions"),
    ({}, {"status": "lied", "value": 1.0}, "lie", "regressions"),
    ({"status": "memory", **FAILED}, {"status": "lied", **FAILED}, "lie", "regressions"),
    ({"status": "lied", **FAILED}, {}, "lie", "improvements"),
    ({}, {"value": 100.0 * (1 + 2e-9)}, "value", "regressions"),
    ({}, {"value": 99.0}, "value", "improvements"),
    ({"outcome": "infeasible", "value": None}, {"outcome": "no_solution", "value": None}, "status",
     "regressions"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "change", "where"), CHANGES)
def test_change_of_a_run_is_listed(make_row, before, after, change, where):
    """Lost proofs and answers, worse values and new lies are regressions; the reverse is better."""
    found = compare([make_row(**before)], [make_row(**after)])
    (listed,) = getattr(found, where)
    assert listed.change == change
    assert listed.message == after.get("message")
    assert len(found.regressions) + len(found.improvements) == 1
    assert found.regressed == (where == "regressions")


def test_rounding_is_no_change_of_value(make_row):
    """A relative difference below 1e-9 is not listed."""
    found = compare([make_row()], [make_row(value=100.0 * (1 + 5e-10))])
    assert not found.regressed
    assert found.improvements == ()


def test_runs_on_one_side_are_listed(make_row):
    """New and missing runs are named, and an instance whose numbers changed is both."""
    rows_a = [make_row(), make_row(instance="gone"), make_row(instance="new", instance_digest="x")]
    rows_b = [make_row(), make_row(solver="added"), make_row(instance="new", instance_digest="y")]
    found = compare(rows_a, rows_b)
    assert set(found.only_a) == {rows_a[1].key, rows_a[2].key}
    assert set(found.only_b) == {rows_b[1].key, rows_b[2].key}
    assert only_ratio(found).pairs == 1


def test_other_time_limit_compares_what_ended_by_itself(make_row):
    """Under another limit, runs that were not stopped are paired and the others listed."""
    stopped = {"stop_reason": "time", "value": 120.0}
    rows_a = [
        *timed_rows(make_row, [1.0, 1.0, 1.0]),
        make_row(instance="hard", total_s=60.0, **stopped),
    ]
    rows_b = [
        *timed_rows(make_row, [2.0, 2.0, 2.0], time_limit_s=10.0),
        make_row(instance="hard", time_limit_s=10.0, total_s=10.0, **{**stopped, "value": 150.0}),
    ]
    found = compare(rows_a, rows_b)
    ratio = only_ratio(found)
    assert (ratio.pairs, ratio.instances, ratio.verdict) == (4, 3, "slower")
    assert found.incomparable == (rows_b[-1].key,)
    assert found.regressions == ()


def test_same_time_limits_are_paired_first(make_row):
    """With two limits in one file, the common one is paired and the other listed."""
    rows_a = [make_row(time_limit_s=60.0), make_row(time_limit_s=10.0, value=200.0)]
    rows_b = [make_row(time_limit_s=60.0)]
    found = compare(rows_a, rows_b)
    assert found.only_a == (rows_a[1].key,)
    assert found.improvements == ()


def test_limit_on_both_sides_has_no_ratio(make_row, times):
    """Two runs that the limit stopped say nothing of speed; one that it stopped does."""
    stopped = timed_rows(make_row, [60.0] * 10, stop_reason="time")
    assert only_ratio(compare(stopped, stopped)).instances == 0
    slower = only_ratio(compare(timed_rows(make_row, times), stopped))
    assert slower.verdict == "slower"


def test_output_for_machines_and_people(make_row, times):
    """The dictionary is strict JSON; the text names the verdict and takes markup literally."""
    name = "[bold]evil[/bold]"
    rows_a = timed_rows(make_row, times, name)
    rows_b = [
        *timed_rows(make_row, 3 * times, name, machine={"processor": "Other"})[:-1],
        make_row(solver=name, instance="i9", status="crashed", message="[red]x", **FAILED),
    ]
    found = compare(rows_a, rows_b)
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["regressed"] is True
    assert document["ratios"][0]["verdict"] == "slower"
    assert document["regressions"][0]["message"] == "[red]x"
    console = Console(file=io.StringIO(), width=250)
    console.print(found.to_terminal())
    text = console.file.getvalue()
    for words in (name, "slower", "[red]x", "different machines", "Got worse: 1 runs"):
        assert words in text


@pytest.mark.parametrize("sides", [(0, 0), (0, 1), (1, 0)])
def test_nothing_in_common_is_said(make_row, sides):
    """Empty files compare without an error."""
    found = compare(*([make_row()] * count for count in sides))
    console = Console(file=io.StringIO(), width=100)
    console.print(found.to_terminal())
    assert "no run in common" in console.file.getvalue()
    assert not found.regressed
