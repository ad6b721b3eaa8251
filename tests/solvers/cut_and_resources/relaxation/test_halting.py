"""The relaxation ends when it is asked to, with a bound that is valid."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import CutAndResources, solve
from splitopt.solvers.cut_and_resources.relaxation import large_fleet, root, root_bound


def fleet(objective, budgets):
    """Draw twelve devices with four cuts, and a budget that leaves half of what they would use."""
    rng = np.random.default_rng(3)
    names = ("download_s", "upload_s", "server_s", "device_s")
    tables = dict(zip(names, rng.uniform(1, 9, (4, 12, 4)), strict=True))
    use = np.tile([6.0, 4.0, 1.0, 0.0], (12, 1))
    own = [{"name": "memory", "use": use, "limit": 20.0}] if budgets else None
    allowed = np.ones((12, 4), dtype=bool)
    return CutAndResources(**tables, allowed=allowed, objective=objective, budgets=own)


class Patience:
    """A clock that stops the work after so many questions, and counts them."""

    def __init__(self, most):
        self.most, self.asked = most, 0

    def __call__(self):
        self.asked += 1
        return self.asked > self.most


@pytest.mark.parametrize("objective", ["sum", "makespan"])
@pytest.mark.parametrize("budgets", [False, True])
def test_a_bound_that_is_cut_short_is_valid(objective, budgets):
    """Whenever it ends, the bound is at most the optimum, and soon after it was asked."""
    problem = fleet(objective, budgets)
    best, whole = solve(problem, "exact"), root_bound(problem)
    assert best.outcome == "optimal"
    for most in (0, 1, 3, 10_000):
        patience = Patience(most)
        found = root_bound(problem, patience)
        assert 0 <= found <= best.objective * (1 + 1e-12)
        assert patience.asked <= most + 12  # each loop around the one that ended asks once more
    assert found == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize("objective", ["sum", "makespan"])
def test_a_large_fleet_is_asked_too(objective, monkeypatch):
    """Work block by block ends after the pass in which time is up."""
    problem = fleet(objective, False)
    best = solve(problem, "exact")
    large = large_fleet.LargeFleet.of(problem.plain)  # small, so that nothing is compiled
    monkeypatch.setattr(large_fleet, "LARGE", 1)
    patience = Patience(1)
    found = root.large_bound(objective, large, patience)
    assert 0 <= found <= best.objective * (1 + 1e-12)
    assert 1 < patience.asked < 12


@pytest.mark.parametrize("solver", ["block_descent", "random_search", "equal_share"])
def test_time_that_is_up_ends_the_bound(solver):
    """A run without time claims no more than the optimum."""
    problem = fleet("makespan", True)
    found = solve(problem, solver, time_limit_s=0.0)
    assert found.outcome in ("feasible", "no_solution")
    assert found.bound <= solve(problem, "exact").objective
