"""The parallel baselines of DP-MORA section 7.1 against its published tables."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import CapabilityError, CutAndResources, InputError, Scenario, solve
from splitopt.solvers.cut_and_resources.baselines import Sf3af

NAMES = ["faaf", "fsaf", "fspf", "sf3af", "sf3pf"]
PUBLISHED_CUTS = (5, 9, 9, 5, 9, 9, 5, 9, 9, 5)


@pytest.fixture(scope="module")
def published():
    """Return DP-MORA's section 7.2 with ResNet-18 under the makespan, which the paper reports."""
    return CutAndResources.from_scenario(Scenario.load("dp-mora-resnet18"), objective="makespan")


def waits(problem, result):
    latency = problem.latencies(result.decision)
    return (latency.max() - latency) / 1000


def test_faaf_waits_as_in_table_2(published):
    """Everything on the devices: the waiting latencies that Table 2 prints, to its digits."""
    table = [31.67, 32.46, 44.16, 9.05, 28.09, 45.28, 0.0, 32.46, 43.03, 16.59]
    assert waits(published, solve(published, "faaf")) == pytest.approx(table, abs=0.02)


def test_fsaf_waits_as_in_table_2(published):
    """One cut for all and equal shares: the waiting latencies that Table 2 prints."""
    table = [29.38, 26.66, 33.92, 8.39, 21.92, 35.74, 0.0, 26.66, 32.09, 15.39]
    result = solve(published, "fsaf")
    assert result.decision.cut.tolist() == [5] * 10
    assert result.objective == pytest.approx(50_368, abs=1)
    assert waits(published, result) == pytest.approx(table, abs=0.02)


def test_sf3af_waits_as_in_table_2(published):
    """DP-MORA's cuts and equal shares: the waiting latencies that Table 2 prints."""
    table = [29.38, 29.1, 39.94, 8.39, 24.84, 41.1, 0.0, 29.1, 38.78, 15.39]
    result = solve(published, Sf3af(PUBLISHED_CUTS))
    assert waits(published, result) == pytest.approx(table, abs=0.06)


def test_shares_are_equal_or_proportional(random_problem):
    """AF hands out 1/N and PF weight over sum of weights, of all three resources."""
    problem = random_problem(4, 5, 4)
    for name in NAMES:
        decision = solve(problem, name).decision
        part = np.full(5, 0.2)
        if name.endswith("pf"):
            part = np.array([weight / sum(problem.weights) for weight in problem.weights])
        for share in (decision.download_share, decision.upload_share, decision.server_share):
            assert share == pytest.approx(part)


def test_cuts_are_as_the_scheme_says(random_problem):
    """FedAvg keeps all layers, FederSplit takes one cut for all, SplitFed3 those of a solver."""
    problem = random_problem(1, 5, 4)
    allowed = problem.allowed.copy()
    allowed[2, 0] = False
    problem = CutAndResources(**{**problem.data(), "allowed": allowed})
    cuts = {name: solve(problem, name).decision.cut.tolist() for name in NAMES}
    assert cuts["faaf"] == [4] * 5
    assert cuts["fsaf"] == cuts["fspf"] == [2] * 5
    best = solve(problem, "enumerate").decision.cut.tolist()
    assert cuts["sf3af"] == cuts["sf3pf"] == best
    other = solve(problem, "block_descent").decision.cut.tolist()
    assert solve(problem, "sf3af", cuts="block_descent").decision.cut.tolist() == other


def test_what_they_refuse(random_problem):
    """A cut that the scheme needs and that is not allowed is said before the run."""
    problem = random_problem(0, 2, 3)
    data = {**problem.data(), "allowed": np.array([[True, True, False], [False, False, True]])}
    parted = CutAndResources(**data)
    with pytest.raises(CapabilityError, match="last cut to be allowed for every device"):
        solve(parted, "faaf")
    with pytest.raises(CapabilityError, match="a cut that is allowed for every device"):
        solve(parted, "fsaf")
    data.pop("weights")
    with pytest.raises(CapabilityError, match="weights"):
        solve(CutAndResources(**data), "sf3pf")
    with pytest.raises(CapabilityError, match="3 cuts for 2 devices"):
        solve(problem, "sf3af", cuts=[1, 1, 1])
    with pytest.raises(CapabilityError, match=r"outside 1\.\.3"):
        solve(problem, "sf3af", cuts=[1, 4])
    result = solve(parted, "sf3af", cuts=[1, 1])
    assert (result.outcome, result.violations) == ("no_solution", {"cut_not_allowed": 1.0})
    assert solve(parted, "sf3af", time_limit_s=0).outcome in ("feasible", "optimal")


@pytest.mark.parametrize("cuts", ["no_such_solver", "sf3af", [1.5], [], 3, ["a"]])
def test_cuts_that_are_none(cuts):
    """A source of cuts that cannot be read is named."""
    with pytest.raises(InputError, match=r"cuts|no_such_solver"):
        Sf3af(cuts)
