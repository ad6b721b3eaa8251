"""The share rules against their definition, spelled out for every device and cut."""

from __future__ import annotations

import math

import pytest

from splitopt import CapabilityError, CutAndResources, solve

OBJECTIVES = pytest.mark.parametrize("objective", ["sum", "makespan"])
RULES = pytest.mark.parametrize("rule", ["equal_share", "proportional_share"])


def by_hand(problem, shares):
    """Compute every device's fastest allowed cut and its latency when it gets this share."""
    cuts, latencies = [], []
    for n, share in enumerate(shares):
        best, best_cut = math.inf, None
        for cut in range(1, problem.layers + 1):
            if not problem.allowed[n, cut - 1]:
                continue
            latency = problem.device_s[n, cut - 1]
            for table in (problem.download_s, problem.upload_s, problem.server_s):
                latency += table[n, cut - 1] / share
            if latency < best:
                best, best_cut = latency, cut
        cuts.append(best_cut)
        latencies.append(best)
    return cuts, latencies


def shares_of(rule, problem):
    if rule == "equal_share":
        return [1 / problem.devices] * problem.devices
    return [weight / sum(problem.weights) for weight in problem.weights]


@RULES
@OBJECTIVES
@pytest.mark.parametrize("seed", range(5))
def test_every_device_gets_its_best_cut_under_the_rule(rule, objective, seed, random_problem):
    """Cuts, shares and objective are what the definition gives in a double loop."""
    problem = random_problem(seed, devices=5, layers=4, objective=objective, masked=seed % 2 == 1)
    shares = shares_of(rule, problem)
    cuts, latencies = by_hand(problem, shares)
    result = solve(problem, rule)
    assert result.stop_reason in ("converged", "proved")
    assert result.decision.cut.tolist() == cuts
    for given in ("download_share", "upload_share", "server_share"):
        assert getattr(result.decision, given) == pytest.approx(shares, rel=1e-12)
    wanted = sum(latencies) if objective == "sum" else max(latencies)
    assert result.objective == pytest.approx(wanted, rel=1e-12)


@RULES
@OBJECTIVES
@pytest.mark.parametrize("seed", range(5))
def test_the_optimum_lies_between_bound_and_objective(rule, objective, seed, random_problem):
    """The rule is never better than the optimum, and its bound never above it."""
    problem = random_problem(seed, devices=4, layers=3, objective=objective, masked=True)
    optimum = solve(problem, "enumerate").objective
    result = solve(problem, rule)
    assert result.bound <= optimum * (1 + 1e-9)
    assert result.objective >= optimum * (1 - 1e-9)
    assert math.isfinite(result.gap)


def test_equal_weights_are_equal_shares(random_problem):
    """Where all weigh the same the two rules agree."""
    problem = random_problem(1, devices=4, layers=4)
    same = CutAndResources(**{**problem.data(), "weights": [7.0] * 4})
    equal, proportional = solve(same, "equal_share"), solve(same, "proportional_share")
    assert proportional.decision.cut.tolist() == equal.decision.cut.tolist()
    assert proportional.objective == pytest.approx(equal.objective, rel=1e-12)


@pytest.mark.parametrize(
    ("weights", "message"), [(None, "needs 'weights'"), ([1.0, 0.0, 2.0], "above 0")]
)
def test_without_usable_weights_there_is_nothing_to_be_proportional_to(
    weights, message, random_problem
):
    """Missing or zero weights are refused, and the refusal names who could."""
    data = random_problem(2, devices=3, layers=3).data() | {"weights": weights}
    with pytest.raises(CapabilityError, match=f"{message}.*equal_share"):
        solve(CutAndResources(**data), "proportional_share")
