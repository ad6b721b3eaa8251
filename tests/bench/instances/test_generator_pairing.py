"""The families and the library of pairings."""

from pathlib import Path

import pytest

from splitopt import load_problem, solve
from splitopt.bench.instances.best_known import read_best_known
from splitopt.bench.instances.families.generator_pairing import BENCHMARK
from splitopt.bench.instances.library.generator_pairing import two_classes
from splitopt.bench.instances.stored import Library
from splitopt.problems.digest import instance_digest

FOLDER = Path(__file__).parents[3] / "benchmarks" / "instances"


def test_the_hardest_split_needs_all_others():
    """Five devices with two classes each: four transfers for each, by hand."""
    problem = two_classes()
    assert solve(problem).objective == 20
    stored = load_problem(FOLDER / "generator_pairing" / "iotsl-two-classes.json")
    assert instance_digest(stored) == instance_digest(problem)


def test_every_class_is_of_some_devices():
    """No family but the one for it has a class that nobody can send."""
    for family, draw in BENCHMARK.families.items():
        for seed in range(3):
            problem = draw(seed=seed, devices=6, labels=5)
            assert (problem.infeasibility() is not None) == (family == "infeasible")


@pytest.mark.parametrize(
    "name", ["capped-devices20-labels10-seed0", "counted-devices30-labels10-seed0"]
)
def test_stored_instances_have_the_best_known_value(name):
    library = Library.read(FOLDER)
    (instance,) = [item for item in library.instances if item.name == name]
    known = read_best_known(FOLDER / "best_known.csv")["generator_pairing", "cost", name]
    assert known.status == "proved"
    assert solve(instance.load("cost")).objective == pytest.approx(known.value, rel=1e-9)
