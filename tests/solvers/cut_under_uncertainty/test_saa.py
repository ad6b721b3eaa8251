"""`saa`: known expectations, the reference on samples, ties, and what it says about itself."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from splitopt import CapabilityError, InputError, solve
from tests.solvers.cut_under_uncertainty.cases import fleet, single

MEAN_1_F = math.log(3.0)  # f uniform on (0.5, 1.5)


def confidence(result):
    return result.details["confidence"]


def test_a_known_expectation_is_covered():
    """D = fixed + work / f has mean fixed + work log 3; the better cut is found with proof."""
    problem = single([1.0, 3.0], [2.5, 0.0], samples=400)
    known = [2.5 + MEAN_1_F, 3 * MEAN_1_F]
    result = solve(problem, "saa", tolerance=0.02)
    assert result.decision.cut == int(np.argmin(known)) == 1
    assert confidence(result)["status"] == "settled"
    entry = next(c for c in confidence(result)["cuts"] if c["cut"] == "cut-1")
    assert entry["low"] <= known[1] <= entry["high"]
    whole = solve(problem, "saa", adaptive=False)
    assert whole.objective == pytest.approx(known[1], rel=0.03)
    assert confidence(whole)["samples"] == 400


def test_the_mean_value_problem_is_wrong_and_vss_says_so():
    """With mean speed the working cut takes 2.95 s and wins; in truth it takes 2.95 log 3."""
    problem = single([0.0, 2.95], [3.0, 0.0], samples=100)
    result = solve(problem, "saa", values=True)
    found = result.details["values"]
    assert (result.decision.cut, found["mean_value_cut"]) == (0, "cut-1")
    rounds = np.array([2.95 / problem.source.draw(j)["compute"][0] for j in range(100)])
    assert found["vss_s"] == pytest.approx(rounds.mean() - 3.0)
    assert found["evpi_s"] == pytest.approx(3.0 - np.minimum(rounds, 3.0).mean())
    assert found["wait_and_see_s"] == pytest.approx(np.minimum(rounds, 3.0).mean())


def test_far_cuts_settle_on_few_samples_and_close_ones_are_a_tie():
    """Common random numbers: how many samples it takes depends on how close the cuts are."""
    far = solve(single([1.0, 4.0], [0.0, 0.0], samples=200), "saa")
    assert confidence(far)["samples"] == 20
    assert "not seen to be above the best cut (95 % confidence, 20 samples)" in far.message
    # 1/f against a constant of the same mean: nothing separates them but chance
    close = solve(single([1.0, 0.0], [0.0, MEAN_1_F], samples=80), "saa", tolerance=1e-3)
    assert confidence(close)["status"] == "tie"
    assert confidence(close)["samples"] == 80
    assert len(confidence(close)["tied_with"]) == 1
    assert close.message.startswith("tie: cut-")
    assert close.stop_reason in ("iterations", "proved", "gap")


@pytest.mark.parametrize("objective", ["expected", "cvar"])
@pytest.mark.parametrize("seed", range(4))
def test_leaving_cuts_out_loses_nothing(seed, objective):
    """On the problem's samples the value is the enumeration's, and the bounds are valid."""
    problem = fleet(seed, objective=objective)
    best = solve(problem, "enumerate")
    result = solve(problem, "saa", adaptive=False)
    assert result.objective == pytest.approx(best.objective, rel=1e-12)
    assert result.bound <= best.objective * (1 + 1e-9)
    assert result.outcome in ("feasible", "optimal")
    json.dumps(result.to_dict(), allow_nan=False)


@pytest.mark.parametrize("seed", range(3))
def test_values_are_those_of_brute_force(seed):
    """VSS and EVPI from the table of all cuts and samples."""
    problem = fleet(seed, samples=8)
    table = np.array(
        [[solve(problem.block(j, v), "enumerate").objective for j in range(8)] for v in range(3)]
    )
    averaged = [solve(problem.expected_block(v), "enumerate").objective for v in range(3)]
    found = solve(problem, "saa", values=True, adaptive=False).details["values"]
    best, naive = table.mean(axis=1).min(), table.mean(axis=1)[int(np.argmin(averaged))]
    assert found["vss_s"] == pytest.approx(naive - best, abs=1e-12)
    assert found["evpi_s"] == pytest.approx(best - table.min(axis=0).mean(), abs=1e-12)
    assert found["vss_s"] >= 0
    assert found["evpi_s"] >= 0


def test_the_quick_inner_solver_has_valid_bounds():
    """A weaker recourse is never below the optimum, and its bound never above."""
    problem = fleet(1, samples=6)
    best = solve(problem, "enumerate").objective
    result = solve(problem, "saa", inner="quick")
    assert result.bound <= best <= result.objective + 1e-12


def test_listed_samples_are_split():
    """Without a generator one half chooses and the other half judges."""
    drawn = fleet(0, samples=40)
    listed = type(drawn).from_scenarios(
        drawn.cuts, [[drawn.block(j, v) for v in range(3)] for j in range(40)]
    )
    result = solve(listed, "saa", replications=4, tolerance=0.5)
    assert confidence(result)["gap"]["replications"] == 4
    assert result.objective == pytest.approx(solve(listed, "enumerate").objective, rel=1e-12)
    few = solve(listed, "saa", replications=30)
    assert confidence(few)["status"] == "not assessed"
    assert "too few" in few.message


def test_a_time_limit_of_zero_still_gives_a_plan():
    """The quick answer and the cheap bound stand before any sample is solved."""
    result = solve(fleet(0), "saa", time_limit_s=0.0)
    assert result.outcome in ("feasible", "optimal")
    assert result.bound > 0


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"inner": "magic"}, InputError, "the inner solver 'magic' is unknown"),
        ({"inner": "enumerate", "inner_options": {"max_partitions": 1}}, CapabilityError, "inner"),
        ({"inner": "quick", "inner_options": {"x": 1}}, InputError, "'quick' has none"),
        ({"first_samples": 0}, InputError, "first_samples: is 0"),
        ({"tolerance": -1.0}, InputError, "tolerance: is -1"),
        ({"level": 1.0}, InputError, "level: is 1.0"),
        ({"engine": "abacus"}, InputError, "engine: is 'abacus'"),
        ({"engine": "dask"}, InputError, "needs the address of a running cluster"),
    ],
)
def test_what_cannot_be_used_is_refused(options, error, words):
    """One sentence, before or at the start of the work."""
    with pytest.raises(error, match=words):
        solve(fleet(0), "saa", **options)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["expected", "cvar"])
def test_the_gap_bound_covers_the_true_gap(objective):
    """Of 200 runs with 95 % confidence, few enough state a bound below the true gap."""
    level = {"cvar_level": 0.8} if objective == "cvar" else {}
    big = single([1.0, 0.9], [0.0, 0.12], 20_000, 99, objective=objective, **level)
    truth = [float(big.statistic(_rounds(big, cut))) for cut in (0, 1)]
    missed = 0
    for seed in range(200):
        problem = single([1.0, 0.9], [0.0, 0.12], 40, seed, objective=objective, **level)
        result = solve(problem, "saa", adaptive=False)
        gap = truth[result.decision.cut] - min(truth)
        missed += gap > confidence(result)["gap"]["bound_s"]
    assert missed / 200 <= 0.07


def _rounds(problem, cut):
    work, fixed = ([1.0, 0.9][cut], [0.0, 0.12][cut])
    speeds = [problem.source.draw(j)["compute"][0] for j in range(problem.samples)]
    return fixed + work / np.array(speeds)
