"""Makespans of devices that load one resource each, against enumeration and other programs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from splitopt import CutAndResources, solve
from splitopt.bench.instances.number_partitioning import partitions
from splitopt.solvers.cut_and_resources.exact.partition_search import Filling


def draw(seed, kind, devices, resources):
    """Draw seconds of one kind; the last kind has several choices for each resource."""
    rng = np.random.default_rng(seed)
    choices = 2 * resources if kind == "several choices" else resources
    work, own = np.zeros((devices, choices, resources)), np.zeros((devices, choices))
    size = rng.uniform(1, 4, devices)
    for choice in range(choices):
        at = choice % resources
        if kind in ("equal", "own"):
            work[:, choice, at] = size
        elif kind == "whole":
            work[:, choice, at] = np.round(5 * size)
        elif kind == "slower":
            work[:, choice, at] = size * (1 + at)
        else:
            work[:, choice, at] = rng.uniform(1, 4, devices)
    if kind in ("own", "several choices"):
        own = rng.uniform(0, 2, own.shape)
    if kind == "idle":
        work[:, -1] = 0.0
        own[:, -1] = rng.uniform(2, 6, devices)
    return CutAndResources.of_choices(work, own, "makespan")


def fastest(problem, choice):
    """Return the makespan of choices by bisection on sum w / (T - d) <= 1 of every resource."""
    rows = np.arange(problem.devices)
    work, own = problem.work_s[rows, choice], problem.own_s[rows, choice]
    low, high = own.max(), own.max() + work.sum()
    for _ in range(60):
        middle = 0.5 * (low + high)
        left = middle - own
        with np.errstate(divide="ignore", invalid="ignore"):
            parts = np.where(work > 0, work / left[:, None], 0.0).sum(axis=0)
        idle_late = ((work.sum(axis=1) == 0) & (left < 0)).any()
        fits = not idle_late and (left[work.sum(axis=1) > 0] > 0).all() and (parts <= 1).all()
        low, high = (low, middle) if fits else (middle, high)
    return high


KINDS = ("equal", "whole", "slower", "unlike", "own", "several choices", "idle")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("resources", [2, 3])
def test_small_ones_against_all_choices(kind, resources):
    """Every vector of choices, each with its makespan by bisection."""
    for seed in range(3):
        problem = draw(seed, kind, 5 if kind != "several choices" else 3, resources)
        every = itertools.product(range(problem.layers), repeat=problem.devices)
        wanted = min(fastest(problem, np.array(choice)) for choice in every)
        found = solve(problem, "exact")
        assert found.outcome == "optimal"
        assert found.objective == pytest.approx(wanted, rel=1e-9)
        assert found.bound <= wanted * (1 + 1e-9)


def test_a_small_one_against_all_loads():
    """Equal resources: the makespan is the largest load."""
    problem = draw(0, "equal", 7, 2)
    size = problem.work_s[:, 0, 0]
    every = (np.array(side) for side in itertools.product((0, 1), repeat=7))
    wanted = min(max(size[side == 0].sum(), size[side == 1].sum()) for side in every)
    found = solve(problem, "exact")
    assert found.outcome == "optimal"
    assert found.objective == pytest.approx(wanted, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["equal", "whole", "slower"])
def test_fifteen_devices_against_all_loads(kind):
    """All loads of three resources, two devices at a time with numpy."""
    problem = draw(1, kind, 12, 3)
    loads = np.zeros((1, 3))
    for row in problem.work_s:
        loads = np.concatenate([loads + np.diag(row)[None] * (np.arange(3) == r) for r in range(3)])
    found = solve(problem, "exact")
    assert found.outcome == "optimal"
    assert found.objective == pytest.approx(float(loads.max(axis=1).min()), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("devices", "resources"), [(15, 2), (20, 3), (30, 3), (60, 3), (100, 3)])
def test_number_partitioning_is_proved(devices, resources):
    """What the tree alone left open; the plan's loads are added up anew."""
    problem = partitions(3, devices, resources).with_objective("makespan")
    found = solve(problem, "exact")
    assert found.gap <= 1e-6
    choice = found.decision.choice
    loads = np.bincount(choice, problem.work_s[:, 0, 0], resources)
    assert found.objective == pytest.approx(loads.max(), rel=1e-9)
    assert found.bound >= loads.sum() / resources * (1 - 1e-9)


@pytest.mark.slow
def test_against_cp_sat():
    """Integer sizes, so that CP-SAT's answer is exact; in a process of its own."""
    pytest.importorskip("ortools")
    for seed in range(3):
        problem = draw(seed, "whole", 14, 3)
        ours = solve(problem, "exact")
        theirs = solve(problem, "cp_sat", time_limit_s=120)
        assert ours.outcome == "optimal"
        assert theirs.bound <= ours.objective * (1 + 1e-6)
        assert theirs.objective >= ours.bound * (1 - 1e-6)


def test_filling_finds_every_assignment_there_is():
    """Against all assignments, whatever the prices: within the capacities, none is missed."""
    rng = np.random.default_rng(0)
    for seed in range(20):
        devices, resources = 5, 2 + seed % 2
        part = rng.uniform(0.1, 0.8, (devices, resources))
        part[rng.random(part.shape) < 0.15] = np.inf
        worth = rng.dirichlet(np.ones(resources))
        capacity = rng.uniform(0.6, 1.4, resources)
        found = {
            tuple(one.tolist()) for one in Filling(lambda: False).assignments(part, worth, capacity)
        }
        wanted = set()
        for at in itertools.product(range(resources), repeat=devices):
            own = part[np.arange(devices), at]
            if (np.bincount(at, own, resources) <= capacity).all():
                wanted.add(at)
        assert found == wanted
