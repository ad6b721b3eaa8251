"""The bound in closed form: below every plan, from the tables alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from splitopt import CutAndResources
from splitopt.problems.cut_and_resources import data as data_module
from splitopt.solvers.cut_and_resources.relaxation import root_bound

OBJECTIVES = ("sum", "makespan")


def draw(seed, devices, layers, objective, decades=1.0, **optional):
    """Draw a problem with a random mask."""
    rng = np.random.default_rng(seed)
    tables = 10 ** rng.uniform(-decades / 2, decades / 2, (4, devices, layers))
    allowed = rng.random((devices, layers)) < 0.7
    allowed[np.arange(devices), rng.integers(layers, size=devices)] = True
    return CutAndResources(*tables, allowed, objective, **optional)


def optimum(problem):
    """Try every vector of cuts."""
    choices = [np.flatnonzero(row) + 1 for row in problem.allowed]
    return min(problem.evaluate(problem.complete(cut)) for cut in itertools.product(*choices))


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("decades", [1.0, 8.0])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_never_above_the_optimum(objective, decades, seed):
    """The bound is valid, also where times differ by many orders of magnitude."""
    problem = draw(seed, 3, 4, objective, decades)
    assert 0 < problem.bound() <= optimum(problem)


@pytest.mark.parametrize("objective", ["sum", "makespan", "energy", "latency_energy"])
@pytest.mark.parametrize("shared", [True, False])
def test_valid_with_priorities_energy_and_own_links(objective, shared):
    """What is bounded is the objective itself, in its own unit."""
    rng = np.random.default_rng(7)
    optional = {
        "priority": rng.uniform(0.5, 2.0, 3),
        "device_w": rng.uniform(1, 5, 3),
        "radio_w": rng.uniform(1, 5, 3),
        "seconds_per_joule": 0.5,
        "shared_links": shared,
    }
    problem = draw(1, 3, 4, objective, **optional)
    assert 0 < problem.bound() <= optimum(problem) * (1 + 1e-12)


def test_by_hand():
    """Two alike devices with 1 s of everything: twice three times 2 s, and 1 s each."""
    ones = np.ones((2, 1))
    assert CutAndResources(ones, ones, ones, ones).bound() == pytest.approx(14.0, rel=1e-9)
    makespan = CutAndResources(ones, ones, ones, ones, objective="makespan")
    assert makespan.bound() == pytest.approx(7.0, rel=1e-9)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_only_device_time(objective):
    """Without any shared need the bound is the optimum."""
    device, zero = np.array([[3.0, 2], [5, 7], [1, 1]]), np.zeros((3, 2))
    problem = CutAndResources(zero, zero, zero, device, objective=objective)
    assert problem.bound() == pytest.approx(8.0 if objective == "sum" else 5.0, rel=1e-9)
    assert CutAndResources(zero, zero, zero, zero, objective=objective).bound() == 0.0


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_infinite_without_an_answer(objective):
    """A device without a cut, or a budget that nothing keeps."""
    ones = np.ones((2, 2))
    allowed = np.array([[True, True], [False, False]])
    assert CutAndResources(ones, ones, ones, ones, allowed, objective).bound() == np.inf
    budgets = [{"name": "memory", "use": ones, "limit": 1.0}]
    tight = CutAndResources(ones, ones, ones, ones, objective=objective, budgets=budgets)
    assert tight.bound() == np.inf


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_classes_and_blocks_change_nothing(objective, monkeypatch):
    """Counted classes have the bound of their devices, without tables and in blocks of any size."""
    rng = np.random.default_rng(3)
    scales, shapes = rng.uniform(1, 2, (4, 1, 10)), rng.uniform(0, 1, (4, 1, 5))
    parts = ("download", "upload", "server", "device")
    factors = {f"{part}_scales": scales[i] for i, part in enumerate(parts)}
    factors |= {f"{part}_shapes": shapes[i] for i, part in enumerate(parts)}
    count = rng.integers(1, 5, 10)
    counted = CutAndResources.from_factors(factors | {"count": count}, objective)
    tables = [np.repeat(scales[i].T * shapes[i], count, axis=0) for i in range(4)]
    single = CutAndResources(*tables, objective=objective)
    assert counted.bound() == pytest.approx(single.bound(), rel=1e-11)
    assert "download_s" not in vars(counted)
    monkeypatch.setattr(data_module, "_BLOCK", 3)
    assert single.bound() == pytest.approx(counted.bound(), rel=1e-11)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_near_the_relaxed_bound_for_many_devices(objective):
    """The closed form is not only valid: it is a fair part of what the best prices prove."""
    problem = draw(0, 400, 8, objective)
    assert problem.bound() >= 0.8 * root_bound(problem)
