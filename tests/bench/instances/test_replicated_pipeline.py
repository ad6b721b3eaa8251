"""The families and the library of replicated pipelines."""

from pathlib import Path

import pytest

from splitopt import solve
from splitopt.bench.instances.benchmark import library_entries
from splitopt.bench.instances.best_known import read_best_known
from splitopt.bench.instances.families.replicated_pipeline import BENCHMARK
from splitopt.bench.instances.stored import Library
from splitopt.problems.digest import instance_digest

FOLDER = Path(__file__).parents[3] / "benchmarks" / "instances"


@pytest.mark.parametrize("family", BENCHMARK.families)
def test_families_have_what_they_are_named_for(family):
    for seed in range(3):
        problem = BENCHMARK.families[family](seed=seed, layers=12, devices=5)
        assert (problem.layers, problem.device_count) == (12, 5)
        assert problem.types == (1 if family == "alike" else 3)
        assert (problem.infeasibility() is not None) == (family == "infeasible")
        assert (problem.max_replicas == 1) == (family == "plain")
        assert (problem.memory_bytes is None) == (family in ("alike", "types", "whole"))
        assert (problem.schedule == family) == (family in ("gpipe", "pipedream"))
    again = BENCHMARK.families[family](seed=2, layers=12, devices=5)
    assert instance_digest(again) == instance_digest(problem)


def test_every_entry_of_the_library_is_stored():
    listed = {entry.name for entry in library_entries(BENCHMARK)}
    library = Library.read(FOLDER)
    stored = {item.name for item in library.instances if item.problem == BENCHMARK.problem}
    assert stored == listed


@pytest.mark.parametrize(
    "name", ["memory-layers30-devices6-seed0", "types-layers100-devices10-seed0"]
)
def test_stored_instances_have_the_best_known_value(name):
    library = Library.read(FOLDER)
    (instance,) = [item for item in library.instances if item.name == name]
    known = read_best_known(FOLDER / "best_known.csv")[BENCHMARK.problem, "period", name]
    assert known.status == "proved"
    assert solve(instance.load("period")).objective == pytest.approx(known.value, rel=1e-9)
