"""What `saa` states holds on rounds of which the truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.coverage.__main__ import COVERED, FALSE, LEVELS, broken, broken_intervals, main
from benchmarks.coverage.families import Drawn, families
from benchmarks.coverage.suite import (
    TRACE,
    Covered,
    Question,
    Run,
    replay_coverage,
    run_once,
    runs_of,
    truth_of,
    value_coverage,
)
from splitopt.solvers.cut_under_uncertainty.answering.rounds import Request


@pytest.mark.parametrize("name", sorted(families()))
@pytest.mark.slow
def test_the_truth_is_what_many_rounds_say(name):
    """Means and CVaRs from the quantiles against 50,000 rounds, within five standard errors."""
    family = families()[name]
    source = Drawn(family, 1)
    cheap = source.draw(0, 50_000)
    for v in range(source.cuts):
        latencies = source.answer([Request(cheap, v, np.arange(50_000))])[0]
        assert (cheap.lower[v] >= source.least()[v] - 1e-9).all()
        assert (cheap.upper[v] <= source.most()[v] + 1e-9).all()
        assert (latencies <= cheap.upper[v]).all()
        mean, error = latencies.mean(), latencies.std() / np.sqrt(50_000)
        assert abs(mean - truth_of(Question(name))[v]) <= 5 * error
        worst = np.sort(latencies)[-5_000:]
        error = 10 * np.sqrt(0.1) * latencies.std() / np.sqrt(50_000)
        assert abs(worst.mean() - truth_of(Question(name, 0.9))[v]) <= 5 * error


def test_gaps_of_the_means_are_the_stated_ones():
    """0, 2, 4, 8 and 15 % above the best."""
    truth = truth_of(Question("uniform"))
    np.testing.assert_allclose(truth / truth[0] - 1, (0, 0.02, 0.04, 0.08, 0.15), atol=1e-6)


@pytest.mark.one_quick
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", ["uniform", "rare", TRACE])
def test_a_few_runs_settle_and_are_right(name, level):
    """The quick version: two runs, both of them right."""
    for seed in range(2):
        found = run_once(Question(name, level), seed)
        assert found.settled
        assert not found.false
        assert found.gap_covered
        assert found.value_covered
        assert found.answers < 5000


@pytest.mark.slow
def test_intervals_of_other_numbers_hold():
    """VSS and EVPI, mean and CVaR, and the mean of a replay, in 5 runs."""
    found = value_coverage("uniform", 5) + value_coverage("uniform", 5, 0.9)
    found += replay_coverage("uniform", 5)
    assert broken_intervals(found) == []
    assert len(found) == 6


def test_what_is_not_kept_is_named():
    """Made up: one wrong settlement in two, a bound that held once, an interval too short."""
    good = Run(True, False, True, True, True, 1, 1, 1, 0.1)
    bad = Run(True, True, False, True, True, 1, 1, 1, 0.1)
    assert broken(Question("uniform"), [good]) == []
    named = broken(Question("uniform"), [good, bad])
    assert named == [
        "uniform, mean: gap_covered held in 0.500 of the runs",
        "uniform, mean: settled wrongly in 0.500",
    ]
    assert broken_intervals([Covered("x", 1, 0.92, 1.0)]) == ["x: held in 0.920"]


def test_the_command_prints_its_table(tmp_path, capsys):
    """One family, two runs."""
    assert main(["--runs", "2", "--families", TRACE, "-o", str(tmp_path / "page.md")]) == 0
    page = (tmp_path / "page.md").read_text()
    assert page in capsys.readouterr().out
    assert "| trace | CVaR 0.95 | 1.000 | 0.000 | 1.000 | 1.000 | 1.000 | 100 |" in page


@pytest.mark.slow
@pytest.mark.statistics
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", [*families(), TRACE])
def test_the_statements_hold_as_often_as_promised(name, level):
    """100 runs of every family: 93 of 100 bounds hold, and one settlement may be wrong.

    Cuts that are near each other take seconds a run: 40 runs, of which none may be wrong.
    """
    question = Question(name, level)
    assert (COVERED, FALSE) == (0.93, 0.01)
    assert broken(question, runs_of(question, 40 if name == "near" else 100, 2)) == []
