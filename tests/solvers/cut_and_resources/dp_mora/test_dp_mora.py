"""The solver `dp_mora` as a whole: faithful, mended where asked, and honest about its end."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from splitopt import CapabilityError, CutAndResources, InputError, Scenario, solve
from splitopt.solvers.cut_and_resources.dp_mora import DpMora
from splitopt.solvers.cut_and_resources.relaxation import root_bound

PUBLISHED_SUM_S = 222.3e3
OPTIMUM_S = 211_966.6


@pytest.fixture(scope="module")
def published():
    """Return DP-MORA's section 7.2 with ResNet-18, curves included."""
    return CutAndResources.from_scenario(Scenario.load("dp-mora-resnet18"))


@pytest.fixture(scope="module")
def answer(published):
    return solve(published, "dp_mora", clip=True)


@pytest.mark.slow
def test_the_published_setting_is_solved(answer):
    """It beats the published plan and stays above the known optimum, by a few percent."""
    assert (answer.outcome, answer.stop_reason, answer.message) == ("feasible", "converged", None)
    assert OPTIMUM_S < answer.objective < PUBLISHED_SUM_S
    assert set(answer.details["rounded_cut"][0:10:3]) == {5}
    assert set(answer.details["rounded_cut"][1:10:3]) == {9}


def test_the_shares_are_the_closed_form(published, answer):
    """After rounding, consensus gives each device its share by the roots, to 1e-3 of it."""
    best = published.complete(answer.decision.cut)
    for name in ("download_share", "upload_share", "server_share"):
        found, exact = getattr(answer.decision, name), getattr(best, name)
        assert found == pytest.approx(exact, rel=1e-3, abs=1e-7)
    assert answer.objective == pytest.approx(published.evaluate(best), rel=1e-5)


def test_what_is_reported(published, answer):
    """Steps, messages, violation and distance to the bound are there and fit each other."""
    details = answer.details
    assert answer.iterations == sum(details["flow_steps"])
    assert details["messages"] == sum(kind["messages"] for kind in details["audit"].values())
    assert details["message_bytes"] == sum(kind["bytes"] for kind in details["audit"].values())
    steps = answer.iterations
    assert details["audit"]["price"]["messages"] == 10 * steps
    assert details["audit"]["price"]["fields"] == ["lambda", "z"]
    assert details["constraint_violation"] == max(0.0, *details["share_excess"].values())
    assert 0 < details["constraint_violation"] < 1e-4
    assert answer.bound == pytest.approx(root_bound(published))
    assert details["above_bound"] == pytest.approx(answer.gap)
    json.dumps(answer.to_dict(), allow_nan=False)


def test_the_relaxed_objective_falls(answer):
    """Block coordinate descent does not raise the relaxed sum from one round to the next."""
    values = answer.details["relaxed_objectives"]
    assert len(values) >= 2
    assert all(b <= a * (1 + 1e-6) for a, b in itertools.pairwise(values))


def test_shares_as_the_paper_leaves_them_cost_something(published, answer):
    """Without sharing out anew the cuts are the same and the objective is higher."""
    left = solve(published, "dp_mora", clip=True, reallocate=False)
    assert left.details["rounded_cut"] == answer.details["rounded_cut"]
    assert answer.objective < left.objective < 1.1 * answer.objective
    assert left.iterations < answer.iterations


def test_negative_curves_are_said_and_not_clipped(published):
    """The published fits are negative at the last cuts: the run ends there with a feasible plan."""
    result = solve(published, "dp_mora")
    assert (result.outcome, result.stop_reason) == ("feasible", "solver_error")
    assert "negative download time" in result.message
    assert "clip=True" in result.message
    assert result.details["audit"]["alarm"]["messages"] >= 1
    assert published.violations(result.decision) == {}


def test_divergence_is_said_and_the_last_feasible_plan_kept(published):
    """With a step beyond 1/N the flow runs away; equal shares, the last feasible ones, are kept."""
    result = solve(published, "dp_mora", clip=True, step=0.2)
    assert (result.outcome, result.stop_reason) == ("feasible", "solver_error")
    assert "diverged after" in result.message
    assert "take a step below 0.1" in result.message
    assert result.decision.download_share == pytest.approx(0.1)
    assert published.violations(result.decision) == {}


def test_printed_units_break_the_budget_and_say_so(published):
    """In seconds the flow is far from settled: the violation is reported, the plan scaled back."""
    result = solve(
        published, "dp_mora", clip=True, units="printed", max_iterations=2000, max_rounds=2
    )
    assert result.stop_reason == "iterations"
    assert "did not settle within max_iterations = 2000" in result.message
    assert result.details["constraint_violation"] > 0.5
    assert result.details["shares_scaled_back"]
    assert result.outcome == "feasible"


def test_without_the_fix_the_risk_limit_is_missed(published):
    """As printed, cuts below the leakage limit come out and the message says what would help."""
    result = solve(published, "dp_mora", clip=True, risk_fix=False, tolerance=1e-8)
    cuts = np.array(result.details["rounded_cut"])
    assert cuts.min() < 5
    assert "risk_fix=True" in result.message
    assert result.decision is None or published.violations(result.decision) == {}
    assert result.details["rounded_objective"] == np.inf


@pytest.mark.parametrize("graph", ["ring", "star", "erdos_renyi"])
def test_every_graph_leads_to_the_same_plan(published, answer, graph):
    """The graph changes the messages, not the plan."""
    result = solve(published, "dp_mora", clip=True, graph=graph, edge_probability=0.6)
    assert result.decision.cut.tolist() == answer.decision.cut.tolist()
    assert result.objective == pytest.approx(answer.objective, rel=1e-6)
    assert result.details["messages"] < answer.details["messages"]


@pytest.mark.slow
def test_tables_are_enough(random_problem):
    """Without curves the table is joined by lines; the plan is feasible and above the optimum."""
    for seed in range(5):
        problem = random_problem(seed, devices=4, layers=5, masked=True)
        result = solve(problem, "dp_mora", tolerance=1e-8)
        assert result.outcome in ("feasible", "optimal")
        assert result.objective >= solve(problem, "enumerate").objective * (1 - 1e-9)


@pytest.mark.slow
def test_without_anything_to_share_the_plan_is_the_best_cut():
    """Where no resource is needed no flow runs, and one cut alone is optimal."""
    zero = np.zeros((3, 4))
    problem = CutAndResources(zero, zero, zero, zero + 1.0, zero == 0)
    result = solve(problem, "dp_mora")
    assert (result.outcome, result.objective, result.iterations) == ("optimal", 3.0, 0)


def test_the_clock_and_the_caller_stop_it(published):
    """At time limit 0 the starting point is returned; a callback's wish ends the run."""
    result = solve(published, "dp_mora", time_limit_s=0, clip=True)
    assert (result.outcome, result.stop_reason) == ("feasible", "time")
    asked = solve(published, "dp_mora", clip=True, callback=lambda progress: True)
    assert (asked.outcome, asked.stop_reason) == ("feasible", "interrupted")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"graph": "tree"}, "graph: is 'tree'"),
        ({"graph": [[0, 1], [2, 3]]}, "graph: is not connected"),
        ({"units": "days"}, "units: is 'days'"),
        ({"step": 0}, "step: is 0"),
        ({"step": "0.1"}, "step: is '0.1'"),
        ({"tolerance": float("nan")}, "tolerance: is nan"),
        ({"edge_probability": 1.5}, "edge_probability: is 1.5"),
        ({"max_rounds": 0}, "max_rounds: is 0"),
        ({"graph_seed": -1}, "graph_seed: is -1"),
        ({"clip": 1}, "clip: is 1"),
    ],
)
def test_bad_options_are_one_sentence(published, options, words):
    """Every option that cannot be used is named with its value."""
    with pytest.raises(InputError, match=words) as caught:
        solve(published, "dp_mora", **options)
    assert "\n" not in str(caught.value)


def test_what_it_cannot_take_is_refused(random_problem):
    """The makespan, and a complete graph over thousands of devices."""
    with pytest.raises(CapabilityError, match="objective 'makespan'"):
        solve(random_problem(objective="makespan"), "dp_mora")
    big = random_problem(devices=2500, layers=2)
    with pytest.raises(CapabilityError, match="graph='ring' or 'star'"):
        solve(big, "dp_mora")
    assert DpMora(graph="ring").refusal(big) is None
