"""`enumerate` against a loop over whole problems, cut by cut and sample by sample."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import CapabilityError, CutUnderUncertainty, solve
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum
from splitopt.problems.cluster_and_spectrum.data import TIMES


def draw(seed, samples=3, cuts=3, objective="expected"):
    rng = np.random.default_rng(seed)
    scenarios = [
        [
            ClusterAndSpectrum(
                **dict(zip(TIMES, rng.exponential(1.0, (6, 5)), strict=True)),
                server_s_per_device=0.1,
                local_epochs=1,
                subcarriers=6,
                cluster_sizes=np.array([3, 2]),
            )
            for _ in range(cuts)
        ]
        for _ in range(samples)
    ]
    return CutUnderUncertainty.from_scenarios(["a", "b", "c"][:cuts], scenarios, objective, 0.5)


@pytest.mark.one_quick
@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_best_of_all_cuts(seed):
    """Each sample's own optimum, averaged; the worst half for CVaR."""
    problem = draw(seed, samples=4)
    rounds = np.array(
        [[solve(problem.block(j, v), "enumerate").objective for j in range(4)] for v in range(3)]
    )
    result = solve(problem, "enumerate")
    assert (result.outcome, result.iterations) == ("optimal", 12)
    assert result.objective == pytest.approx(rounds.mean(axis=1).min(), rel=1e-12)
    assert result.decision.cut == rounds.mean(axis=1).argmin()
    risky = solve(problem.with_objective("cvar"), "enumerate")
    worst = np.sort(rounds, axis=1)[:, 2:].mean(axis=1)
    assert risky.objective == pytest.approx(worst.min(), rel=1e-12)
    assert problem.bound() <= result.objective


def test_what_would_take_too_long_is_refused():
    """The refusal names the number of partitions."""
    with pytest.raises(CapabilityError, match="would have to try 90 partitions"):
        solve(draw(0), "enumerate", max_partitions=89)


def test_a_time_limit_of_zero_still_gives_a_plan():
    """The quick answer stands before anything is tried."""
    result = solve(draw(0), "enumerate", time_limit_s=0.0)
    assert (result.outcome, result.stop_reason) == ("feasible", "time")
    assert result.bound == -np.inf
