"""`saa`: known expectations, one cut in all that is said, finite sources, and what is refused."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from splitopt import CapabilityError, InputError, solve
from splitopt.solvers.cut_under_uncertainty.answering.ledger import Ledger, Stopped
from tests.solvers.cut_under_uncertainty.cases import fleet, single

MEAN_1_F = math.log(3.0)  # f uniform on (0.5, 1.5)


def confidence(result):
    return result.details["confidence"]


@pytest.mark.slow
def test_a_known_expectation_is_covered():
    """D = fixed + work / f has mean fixed + work log 3; the better cut is found."""
    problem = single([1.0, 3.0], [2.5, 0.0], samples=400)
    known = [2.5 + MEAN_1_F, 3 * MEAN_1_F]
    result = solve(problem, "saa", tolerance=0.02)
    assert result.decision.cut == int(np.argmin(known)) == 1
    found = confidence(result)
    assert (found["status"], found["cut"], found["left_out"]) == ("settled", "cut-1", ["cut-0"])
    assert found["value"]["low"] <= known[1] <= found["value"]["high"]
    assert found["differences"][0]["low"] <= known[0] - known[1]
    assert found["worst_round_s"] == pytest.approx(6.0)  # 3 / 0.5
    assert result.message.startswith("cut-1 is the best cut (95 % confidence")
    assert "whose longest round under cut-1 is 6 s" in result.message


@pytest.mark.slow
def test_a_known_tail_is_covered():
    """The worst tenth of 1 / f: f below 0.6, where its mean is log(0.6 / 0.5) / 0.1."""
    tail = math.log(0.6 / 0.5) / 0.1
    problem = single([1.0, 0.0], [0.0, tail + 0.1], samples=300, objective="cvar")
    result = solve(problem, "saa", values=True)
    found = confidence(result)
    assert (found["status"], result.decision.cut) == ("settled", 0)
    assert found["value"]["low"] <= tail <= found["value"]["high"]
    assert found["differences"][0]["low"] <= 0.1
    values = result.details["values"]
    assert values["mean_value_cut"] == "cut-0"
    assert values["vss_s"] == values["intervals"]["vss_s"]["high"] == 0.0


@pytest.mark.slow
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
    true_vss = 2.95 * MEAN_1_F - 3.0
    # f above 2.95 / 3 saves time: 3 minus 2.95 / f there
    edge = 2.95 / 3
    true_evpi = 3 * (1.5 - edge) - 2.95 * math.log(1.5 / edge)
    assert found["intervals"]["vss_s"]["low"] <= true_vss <= found["intervals"]["vss_s"]["high"]
    assert found["intervals"]["evpi_s"]["low"] <= true_evpi <= found["intervals"]["evpi_s"]["high"]
    assert found["intervals"]["evpi_s"]["high"] < 3.0


@pytest.mark.slow
def test_cuts_of_the_same_mean_are_as_good_as_each_other_or_open():
    """1/f against a constant of the same mean: nothing separates them but the tolerance."""
    problem = single([1.0, 0.0], [0.0, MEAN_1_F], samples=20)
    loose = solve(problem, "saa", tolerance=0.05)
    assert confidence(loose)["status"] == "settled"
    assert len(confidence(loose)["as_good_as"]) == 1
    assert "at most 5 % above the best cut" in loose.message
    assert f"as good as it within 5 %: {confidence(loose)['as_good_as'][0]}" in loose.message
    strict = solve(fleet(0, cuts=2, close=0.001), "saa", tolerance=1e-6, max_rounds=40)
    assert confidence(strict)["status"] == "open"
    assert strict.message.startswith("open: after ")
    assert strict.message.endswith("would settle it now")
    assert confidence(strict)["settles_at"] == confidence(strict)["gap"]["relative"] > 1e-6


@pytest.mark.slow
def test_rare_slow_rounds_are_not_settled_by_luck():
    """A takes 1 s; B mostly 0.66 s, but 30 times as long in 2 % of the rounds: 1.05 s."""
    values = [1.0] * 98 + [1 / 30] * 2
    base = 1.05 / (0.98 + 0.02 * 30)
    drawn = {"compute": {"kind": "empirical", "values": values}}
    for seed in range(5):
        problem = single([0.0, base], [1.0, 0.0], samples=20, seed=seed, changes=drawn)
        result = solve(problem, "saa", seed=seed)
        found = confidence(result)
        assert (found["status"], result.decision.cut) == ("exact", 0)
        assert found["differences"][0]["low"] == pytest.approx(0.05)
        assert found["over"] == "the 100 combinations of the devices' values"


def test_few_rounds_of_a_heavy_tail_leave_it_open():
    """1 / f of a lognormal f with mean 1 and deviation 3 has mean 1 + 9, as the other cut has."""
    heavy = {"compute": {"kind": "lognormal", "mean": 1.0, "std": 3.0}}
    problem = single([1.0, 0.0], [0.0, 10.0], samples=4, changes=heavy)
    for seed in range(5):
        result = solve(problem, "saa", pilot=2, max_rounds=16, seed=seed)
        found = confidence(result)
        assert found["status"] == "open"
        assert found["gap"]["relative"] > 0.01
        assert found["value"]["low"] <= 10.0 <= found["value"]["high"]
        # The longest 1 / f is that of the slowest draw: log f has deviation sqrt(log 10), and the
        # smallest uniform number, 2^-54, is 8.29 deviations down.
        longest = math.exp(8.29 * math.sqrt(math.log(10)) + math.log(10) / 2)
        expected = {"cut-0": longest, "cut-1": 10.0}[found["cut"]]
        assert found["worst_round_s"] == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("objective", ["expected", "cvar"])
def test_a_trace_is_compared_exactly(objective):
    """Over its rounds, each counted once, whatever the samples are."""
    rng = np.random.default_rng(0)
    speeds = rng.uniform(0.5, 1.5, (30, 1))
    changes = {"compute": None, "trace": {"compute": speeds}}
    problem = single([1.0, 0.5], [0.0, 0.55], samples=7, objective=objective, changes=changes)
    rounds = np.stack([1.0 / speeds[:, 0], 0.55 + 0.5 / speeds[:, 0]])
    worst = np.sort(rounds, axis=1)[:, -3 if objective == "cvar" else 0 :].mean(axis=1)
    result = solve(problem, "saa", values=True)
    found = confidence(result)
    assert (found["status"], result.decision.cut) == ("exact", int(worst.argmin()))
    assert found["value"]["low"] == pytest.approx(worst.min())
    assert found["value"]["high"] == pytest.approx(worst.min())
    assert "over the 30 rounds of the trace, exact, not a claim about" in result.message
    assert result.details["values"]["intervals"] is None
    seen = np.sort(rounds.min(axis=0))[-3 if objective == "cvar" else 0 :].mean()
    assert result.details["values"]["wait_and_see_s"] == pytest.approx(seen)


@pytest.mark.parametrize("seed", range(20))
def test_all_that_is_said_is_about_one_cut(seed):
    """Also where another cut happens to be shorter on the problem's own samples."""
    problem = single([1.0, 1.003], [0.0, 0.0], samples=5, seed=seed)
    result = solve(problem, "saa", seed=seed)
    name = problem.cuts[result.decision.cut]
    assert confidence(result)["cut"] == name
    assert result.message.startswith(f"{name} is ")
    assert name not in confidence(result)["as_good_as"]


@pytest.mark.one_quick
@pytest.mark.parametrize("objective", ["expected", "cvar"])
@pytest.mark.parametrize("seed", range(4))
def test_over_the_samples_it_is_the_enumeration(seed, objective):
    """On the problem's samples the value is the enumeration's, and the bounds are valid."""
    problem = fleet(seed, objective=objective)
    best = solve(problem, "enumerate")
    result = solve(problem, "saa", over="samples")
    assert result.objective == pytest.approx(best.objective, rel=1e-12)
    assert result.bound <= best.objective * (1 + 1e-9)
    assert result.outcome in ("feasible", "optimal")
    assert confidence(result)["status"] == "exact"
    assert confidence(result)["value"]["high"] == pytest.approx(best.objective, rel=1e-12)
    json.dumps(result.to_dict(), allow_nan=False)


@pytest.mark.one_quick
@pytest.mark.parametrize("seed", range(3))
def test_values_are_those_of_brute_force(seed):
    """VSS and EVPI from the table of all cuts and samples."""
    problem = fleet(seed, samples=8)
    table = np.array(
        [[solve(problem.block(j, v), "enumerate").objective for j in range(8)] for v in range(3)]
    )
    averaged = [solve(problem.expected_block(v), "enumerate").objective for v in range(3)]
    found = solve(problem, "saa", values=True, over="samples").details["values"]
    best, naive = table.mean(axis=1).min(), table.mean(axis=1)[int(np.argmin(averaged))]
    assert found["vss_s"] == pytest.approx(naive - best, abs=1e-12)
    assert found["evpi_s"] == pytest.approx(best - table.min(axis=0).mean(), abs=1e-12)
    assert found["vss_s"] >= 0
    assert found["evpi_s"] >= 0


def test_the_quick_inner_solver_has_valid_bounds():
    """A weaker recourse is never below the optimum, and its bound never above."""
    problem = fleet(1, samples=6)
    best = solve(problem, "enumerate").objective
    result = solve(problem, "saa", inner="quick", over="samples")
    assert result.bound <= best <= result.objective + 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["expected", "cvar"])
def test_listed_samples_are_all_there_are(objective):
    """Without a generator the list itself is compared, exactly."""
    drawn = fleet(0, samples=40)
    listed = type(drawn).from_scenarios(
        drawn.cuts, [[drawn.block(j, v) for v in range(3)] for j in range(40)], objective
    )
    result = solve(listed, "saa")
    assert result.objective == pytest.approx(solve(listed, "enumerate").objective, rel=1e-12)
    assert confidence(result)["over"] == "the 40 samples of the problem"
    assert result.details["answered"] < 3 * 40


def test_one_candidate_is_named_as_such():
    """There is no tie with nobody."""
    result = solve(single([1.0], [0.0], samples=5, objective="cvar"), "saa")
    assert confidence(result)["status"] == "settled"
    assert result.message.startswith("cut-0 is the only candidate; there is nothing to choose")
    assert confidence(result)["differences"] == []


def test_a_cvar_of_all_rounds_is_the_mean():
    """At level 0 nothing is left out."""
    problem = single([1.0, 3.0], [2.5, 0.0], samples=30, objective="cvar", cvar_level=0.0)
    result = solve(problem, "saa", values=True)
    value = confidence(result)["value"]
    assert result.decision.cut == 1
    assert value["low"] <= 3 * MEAN_1_F <= value["high"]


@pytest.mark.one_quick
@pytest.mark.parametrize("objective", ["expected", "cvar"])
@pytest.mark.parametrize("calls", [0, 1, 3, 10, 40])
def test_a_run_that_is_stopped_says_what_it_knows(monkeypatch, objective, calls):
    """Whenever time is up, there is a plan, and all that is said is about its cut."""
    left = iter(range(calls))
    real = Ledger.check

    def check(ledger):
        if next(left, None) is None:
            raise Stopped("time")
        real(ledger)

    monkeypatch.setattr(Ledger, "check", check)
    problem = fleet(0, cuts=3, close=0.02, objective=objective)
    result = solve(problem, "saa", tolerance=1e-4, engine="sequential")
    assert (result.outcome, result.stop_reason) == ("feasible", "time")
    found = confidence(result)
    assert (found["status"], found["cut"]) == ("open", problem.cuts[result.decision.cut])
    assert found["gap"]["bound_s"] > 0
    assert f" {found['cut']} may still be " in result.message
    json.dumps(result.to_dict(), allow_nan=False)


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
        ({"inner_options": "abc"}, InputError, "inner_options: is 'abc', it must be an object"),
        ({"first_samples": 5}, InputError, "has no option 'first_samples' any more: .*'pilot'"),
        ({"adaptive": False}, InputError, "'adaptive' any more: over='samples' compares all"),
        ({"replications": 0}, InputError, "'replications' any more"),
        ({"over": "everything"}, InputError, "over: is 'everything', it must be one of"),
        ({"pilot": 1}, InputError, "pilot: is 1"),
        ({"max_rounds": 31}, InputError, "max_rounds: is 31, it must be an integer >= 32"),
        ({"values": "maybe"}, InputError, "values: is 'maybe', it must be true or false"),
        ({"checkpoint": 5}, InputError, "checkpoint: is 5, it must be a text"),
        ({"tolerance": -1.0}, InputError, "tolerance: is -1"),
        ({"level": 1.0}, InputError, "level: is 1.0"),
        ({"engine": "abacus"}, InputError, "engine: is 'abacus'"),
    ],
)
def test_what_cannot_be_used_is_refused(options, error, words):
    """One sentence, before or at the start of the work."""
    with pytest.raises(error, match=words):
        solve(fleet(0), "saa", **options)
