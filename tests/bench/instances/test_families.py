"""Generated families: what they promise, and that a seed always draws the same."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from splitopt import CutAndResources, Scenario
from splitopt.bench.instances.benchmark import Recipe, benchmark_problems, find_benchmark
from splitopt.bench.instances.families.cut_and_resources import BENCHMARK
from splitopt.errors import InputError
from splitopt.problems.digest import instance_digest
from splitopt.problems.registry import PROBLEMS


def draw(family, devices=40, seed=0, **parameters):
    """Draw an instance of a family."""
    return BENCHMARK.draw(Recipe(family, {"devices": devices, **parameters}, seed))


def test_every_problem_has_a_benchmark():
    """A registered problem takes part in the benchmark."""
    assert benchmark_problems() == tuple(PROBLEMS)
    for name in PROBLEMS:
        assert find_benchmark(name).problem == name


@pytest.mark.parametrize("family", BENCHMARK.families)
def test_a_seed_always_draws_the_same(family):
    """The digest repeats for a seed, differs for another, and ignores the objective."""
    first, again, other = draw(family), draw(family), draw(family, seed=1)
    assert instance_digest(first) == instance_digest(again)
    assert instance_digest(first) != instance_digest(other)
    assert instance_digest(first.with_objective("makespan")) == instance_digest(first)
    choices = {"servers": 3 * 8, "seats": 3 * 8, "partitions": 3}.get(family, 8)
    assert (first.devices, first.layers) == (40, choices)


def test_digests_are_those_of_other_machines():
    """Numbers drawn here are the numbers drawn when this test was written, to the last bit."""
    assert instance_digest(draw("uniform", 4, layers=5)) == "36f116d36a57651b"
    assert instance_digest(draw("bounded", 20)) == "6167000507f18f9c"
    assert instance_digest(draw("heavy_tail", 100)) == "dcca665846a1e2a1"
    assert instance_digest(draw("decades", 100)) == "134641a7f3decde9"


def test_numbers_have_24_binary_digits():
    """The last digits, where mathematical libraries differ, are rounded away."""
    for family in BENCHMARK.families:
        problem = draw(family)
        assert np.array_equal(problem.own_s, problem.own_s.astype(np.float32))
        assert np.array_equal(problem.work_s, problem.work_s.astype(np.float32))


def distinct(problem):
    """Count the different devices."""
    tables = (problem.download_s, problem.upload_s, problem.server_s, problem.device_s)
    return len(np.unique(np.concatenate(tables, axis=1), axis=0))


def test_families_are_what_they_say():
    """Classes, ties, masks, scales and tails have the property that they are named for."""
    assert distinct(draw("identical")) == 1
    assert distinct(draw("classes")) == 5
    assert distinct(draw("near_ties")) == 40
    exact, near = draw("classes").device_s, draw("near_ties").device_s
    assert 0 < np.abs(near / exact - 1).max() < 1.2e-6
    assert (draw("single_cut").allowed.sum(axis=1) == 1).all()
    masked = draw("masks", 1000).allowed
    assert masked.any(axis=1).all()
    assert 0.4 < masked.mean() < 0.5
    wide = draw("decades", 1000).device_s
    assert 7.9 < np.log10(wide.max() / wide.min()) <= 8
    speeds = draw("bounded", 1000).device_s[:, -1]
    assert speeds.max() / speeds.min() < 10 * 4
    tail = draw("heavy_tail", 1000).device_s[:, -1]
    assert tail.max() / np.median(tail) > 50
    assert draw("infeasible").infeasibility() is not None
    assert (draw("bounded").server_s[:, -1] == 0).all()


def test_a_choice_of_the_servers_is_a_server_and_a_cut():
    """A choice uses the resources of its own server, nearer ones are faster, and seats suffice."""
    problem = draw("servers", servers=4)
    parts = ("downlink", "uplink", "computer")
    assert problem.resources[3:6] == tuple(f"{part} of server 2" for part in parts)
    assert problem.choice_names[8] == "server 2, cut 1"
    work = problem.work_s.reshape(40, 4, 8, 4, 3)
    for k in range(4):
        others = np.delete(work[:, k], k, axis=2)
        assert (others == 0).all()
        assert (work[:, k, :, k, :2] > 0).all()
    slow = np.stack([work[:, k, 0, k, 0] for k in range(4)])
    assert np.median(slow.max(axis=0) / slow.min(axis=0)) > 3
    limits = draw("seats").budgets.limit
    assert limits.tolist() == [15.0] * 3
    assert draw("seats").infeasibility() is None


def test_a_share_costs_the_same_at_every_size():
    """With fair shares, a device's best latency does not depend on the size of the fleet."""
    typical = []
    for devices in (100, 10_000):
        problem = draw("uniform", devices)
        shared = problem.download_s + problem.upload_s + problem.server_s
        typical.append(np.median((shared * devices + problem.device_s).min(axis=1)))
    assert typical[0] == pytest.approx(typical[1], rel=0.1)


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (Recipe("nonsense", {"devices": 3}), "there is no family 'nonsense'; known are uniform"),
        (Recipe("uniform", {"devices": 3, "colour": 1}), "colour"),
        (Recipe("uniform"), "devices"),
    ],
)
def test_a_wrong_recipe_is_refused(recipe, words):
    """An unknown family or parameter is one sentence."""
    with pytest.raises(InputError, match=words):
        BENCHMARK.draw(recipe)


def test_an_unknown_problem_is_refused():
    """A problem without a benchmark is named with those that have one."""
    with pytest.raises(InputError, match="problem 'sudoku' has no benchmark"):
        find_benchmark("sudoku")


def test_a_digest_covers_optional_data():
    """The data that only some instances have, nested or not, is part of the digest."""
    plain = Scenario.generate(devices=3)
    problem = CutAndResources.from_scenario(plain)
    assert problem.curves is not None
    family, table = next(iter(problem.curves.items()))
    without = dataclasses.replace(problem, curves=None)
    changed = dataclasses.replace(problem, curves={family: table * 2})
    light = dataclasses.replace(problem, weights=None)
    digests = {instance_digest(item) for item in (problem, without, changed, light)}
    assert len(digests) == 4
