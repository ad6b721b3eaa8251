"""Changes of the input whose effect on the optimum is known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitopt import CutAndResources, solve

OBJECTIVES = pytest.mark.parametrize("objective", ["sum", "makespan"])
TIMES = ("download_s", "upload_s", "server_s", "device_s")


def optimum(problem):
    result = solve(problem, "exact")
    assert result.outcome == "optimal", result.message
    return result.objective


def rebuilt(problem, **changes):
    return CutAndResources(**{**problem.data(), **changes}, objective=problem.objective)


@pytest.mark.slow
@OBJECTIVES
@given(seed=st.integers(0, 10**6))
def test_permuting_devices_changes_nothing(objective, seed, random_problem):
    """The order in which devices are listed does not matter."""
    problem = random_problem(seed, devices=5, objective=objective, masked=True)
    order = np.random.default_rng(seed).permutation(5)
    shuffled = rebuilt(problem, **{name: value[order] for name, value in problem.data().items()})
    assert optimum(shuffled) == pytest.approx(optimum(problem), rel=1e-9)


@pytest.mark.slow
@OBJECTIVES
@given(seed=st.integers(0, 10**6), factor=st.sampled_from([1e-6, 1e-3, 60.0, 1e6]))
def test_another_unit_of_time_scales_the_optimum(objective, seed, factor, random_problem):
    """Milliseconds instead of seconds give a thousand times the number."""
    problem = random_problem(seed, devices=4, objective=objective)
    scaled = rebuilt(problem, **{name: getattr(problem, name) * factor for name in TIMES})
    assert optimum(scaled) == pytest.approx(factor * optimum(problem), rel=1e-9)


@pytest.mark.slow
@OBJECTIVES
@pytest.mark.parametrize("name", TIMES)
@given(seed=st.integers(0, 10**6), factor=st.floats(0.1, 0.99))
def test_a_faster_resource_never_hurts(objective, name, seed, factor, random_problem):
    """Relaxing a budget does not raise the optimum, tightening it does not lower it."""
    problem = random_problem(seed, devices=4, objective=objective, masked=True)
    faster = rebuilt(problem, **{name: getattr(problem, name) * factor})
    slower = rebuilt(problem, **{name: getattr(problem, name) / factor})
    here = optimum(problem)
    assert optimum(faster) <= here * (1 + 1e-9)
    assert optimum(slower) >= here * (1 - 1e-9)


@pytest.mark.slow
@OBJECTIVES
@given(seed=st.integers(0, 10**6))
def test_forbidding_a_cut_never_helps(objective, seed, random_problem):
    """A tighter leakage limit does not lower the optimum."""
    problem = random_problem(seed, devices=4, objective=objective)
    allowed = problem.allowed.copy()
    allowed[np.random.default_rng(seed).random(allowed.shape) < 0.4] = False
    allowed[:, -1] = True
    assert optimum(rebuilt(problem, allowed=allowed)) >= optimum(problem) * (1 - 1e-9)


@pytest.mark.slow
@OBJECTIVES
@given(seed=st.integers(0, 10**6))
def test_a_device_that_does_nothing_changes_nothing(objective, seed, random_problem):
    """A device without any work leaves the optimum where it was."""
    problem = random_problem(seed, devices=4, objective=objective)
    idle = {name: np.vstack([getattr(problem, name), np.zeros(problem.layers)]) for name in TIMES}
    allowed = np.vstack([problem.allowed, np.ones(problem.layers, dtype=bool)])
    assert optimum(rebuilt(problem, **idle, allowed=allowed, weights=None)) == pytest.approx(
        optimum(problem), rel=1e-9
    )


@pytest.mark.slow
@OBJECTIVES
@given(seed=st.integers(0, 10**6))
def test_a_cut_that_is_worse_in_everything_changes_nothing(objective, seed, random_problem):
    """Adding a dominated cut leaves the optimum where it was."""
    problem = random_problem(seed, devices=4, objective=objective)
    worse = {
        name: np.hstack([getattr(problem, name), getattr(problem, name)[:, :1] * 1.5 + 1.0])
        for name in TIMES
    }
    allowed = np.hstack([problem.allowed, problem.allowed[:, :1]])
    assert optimum(rebuilt(problem, **worse, allowed=allowed)) == pytest.approx(
        optimum(problem), rel=1e-9
    )
