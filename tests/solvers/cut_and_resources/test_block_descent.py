"""Block descent: every step is exact, the end is stationary, and more starts never hurt."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import CutAndResources, InputError, solve
from splitopt.solvers.cut_and_resources.block_descent import BlockDescent

OBJECTIVES = pytest.mark.parametrize("objective", ["sum", "makespan"])


@OBJECTIVES
@pytest.mark.parametrize("seed", range(6))
def test_ends_where_neither_block_can_improve(random_problem, objective, seed):
    """At the end the shares are the best for the cuts, and each cut the best for its shares."""
    problem = random_problem(seed, 5, 5, objective, masked=True)
    result = solve(problem, "block_descent")
    assert result.stop_reason in ("converged", "proved")
    decision = result.decision
    value = result.objective
    assert value == pytest.approx(problem.evaluate(problem.complete(decision.cut)), rel=1e-12)
    for n in range(problem.devices):
        for cut in np.flatnonzero(problem.allowed[n]) + 1:
            cuts = decision.cut.copy()
            cuts[n] = cut
            other = type(decision)(
                cuts, decision.download_share, decision.upload_share, decision.server_share
            )
            assert problem.evaluate(other) >= value * (1 - 1e-12)


@OBJECTIVES
@pytest.mark.parametrize("seed", range(3))
def test_never_worse_than_equal_shares_never_better_than_the_optimum(
    random_problem, objective, seed
):
    """It starts where the rule `equal_share` ends and cannot pass what enumeration finds."""
    problem = random_problem(seed, 3, 5, objective)
    best = solve(problem, "enumerate").objective
    result = solve(problem, "block_descent")
    assert best * (1 - 1e-12) <= result.objective <= solve(problem, "equal_share").objective
    assert result.bound <= best * (1 + 1e-12)


@OBJECTIVES
def test_more_starts_find_what_one_start_misses(random_problem, objective):
    """From equal shares the descent ends in a local optimum that random shares avoid."""
    missed = 0
    for seed in range(8):
        problem = random_problem(seed, 3, 4, objective, decades=4.0)
        one = solve(problem, "block_descent").objective
        many = solve(problem, "block_descent", starts=8).objective
        assert many <= one
        missed += many < one * (1 - 1e-6)
    assert missed > 0


def test_a_local_optimum_that_a_share_of_zero_keeps():
    """A device that was given nothing of a resource never returns to it, whatever it costs."""
    problem = CutAndResources(
        download_s=np.array([[1.0, 0.0], [1.0, 0.0]]),
        upload_s=np.zeros((2, 2)),
        server_s=np.zeros((2, 2)),
        device_s=np.array([[0.0, 1.9], [0.0, 1.9]]),
        allowed=np.ones((2, 2), dtype=bool),
    )
    # Equal shares make the cut with transfer cost 2 and the other 1.9: both leave the link, which
    # then has nobody. Alone on the link, either would need 1 s, and the sum would be 2.9 s.
    assert solve(problem, "block_descent").objective == pytest.approx(3.8)
    assert solve(problem, "enumerate").objective == pytest.approx(2.9)
    assert solve(problem, "block_descent", starts=10).objective == pytest.approx(2.9)


def test_steps_are_limited(random_problem):
    """One step is equal shares with exact shares after; it says that it was stopped."""
    problem = random_problem(2, 6, 6, decades=6.0)
    result = solve(problem, "block_descent", max_steps=1)
    assert result.stop_reason == "iterations"
    assert result.iterations == 1
    rule = solve(problem, "equal_share").decision.cut
    assert (result.decision.cut == rule).all()


@pytest.mark.parametrize("options", [{"starts": 0}, {"max_steps": 2.5}])
def test_options_out_of_range(options):
    """A wrong option is named with its value."""
    with pytest.raises(InputError, match=next(iter(options))):
        BlockDescent(**options)
