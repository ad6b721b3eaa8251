"""The solvers of replicated pipelines against every place of every device."""

import math

import pytest

from splitopt import solve
from splitopt.solvers.replicated_pipeline import counts_dp
from tests.solvers.replicated_pipeline.drawing import drawn, least_period


def agree(seed, solver):
    """Check a solver on a drawn problem; tell whether that was feasible."""
    problem = drawn(seed)
    least = least_period(problem)
    result = solve(problem, solver)
    if math.isinf(least):
        assert result.outcome == "infeasible", seed
        return False
    assert result.outcome == "optimal", seed
    assert result.objective == pytest.approx(least, rel=1e-9, abs=1e-12), seed
    assert problem.violations(result.decision) == {}
    assert problem.bound() <= least * (1 + 1e-12), seed
    return True


@pytest.mark.parametrize("solver", ["counts_dp", "enumerate"])
@pytest.mark.parametrize("start", range(0, 450, 15))
@pytest.mark.one_quick
def test_the_least_period_is_that_of_all_pipelines(start, solver):
    feasible = sum(agree(seed, solver) for seed in range(start, start + 15))
    assert 0 < feasible < 15  # both kinds are there


@pytest.mark.parametrize("start", range(0, 60, 4))
@pytest.mark.one_quick
def test_an_integer_program_finds_the_same(start):
    """HiGHS proves to a millionth."""
    for seed in range(start, start + 4):
        problem = drawn(seed)
        least, found = least_period(problem), solve(problem, "highs", time_limit_s=60)
        assert found.is_feasible == math.isfinite(least), seed
        if found.is_feasible:
            assert found.objective == pytest.approx(least, rel=1e-5, abs=1e-9), seed
            assert found.bound <= least * (1 + 1e-9) + 1e-12, seed


@pytest.mark.parametrize("start", range(450, 750, 50))
@pytest.mark.slow
def test_machine_code_gives_the_same(start, monkeypatch):
    """Small problems are left to Python; here none is."""
    monkeypatch.setattr(counts_dp, "_FEW", 0)
    assert 0 < sum(agree(seed, "counts_dp") for seed in range(start, start + 50)) < 50
