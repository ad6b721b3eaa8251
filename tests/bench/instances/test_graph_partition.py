"""The families and the library of layer graphs."""

from pathlib import Path

import numpy as np
import pytest

from splitopt import load_problem, solve
from splitopt.bench.instances.benchmark import library_entries
from splitopt.bench.instances.best_known import read_best_known
from splitopt.bench.instances.families.graph_partition import BENCHMARK
from splitopt.bench.instances.library.graph_partition import public_workload
from splitopt.bench.instances.stored import Library
from splitopt.problems.digest import instance_digest

FOLDER = Path(__file__).parents[3] / "benchmarks" / "instances"


@pytest.mark.parametrize("family", BENCHMARK.families)
def test_families_have_what_they_are_named_for(family):
    for seed in range(3):
        problem = BENCHMARK.families[family](seed=seed, nodes=12, accelerators=3)
        assert problem.nodes == (24 if family in ("training", "orphans") else 12)
        assert (problem.infeasibility() is not None) == family.endswith("infeasible")
        assert (problem.micro_batches is not None) == family.startswith("rounds")
        assert problem.askable == BENCHMARK.objectives_of(family)
        assert problem.backward.any() == (family in ("training", "orphans"))
        assert problem.cpu_only.any() == (family == "host_only")
        limited = problem.accelerator_memory_bytes is not None
        assert limited == (family in ("memory", "infeasible") or family.startswith("rounds"))
        ends = np.setdiff1d(np.arange(problem.nodes), problem.edges[:, 0])
        assert ends.size >= 1
        assert problem.edges.size
    assert instance_digest(
        BENCHMARK.families[family](seed=1, nodes=12, accelerators=3)
    ) == instance_digest(BENCHMARK.families[family](seed=1, nodes=12, accelerators=3))


def test_modules_of_branches_have_one_input_and_one_output():
    for nodes in range(2, 40):
        problem = BENCHMARK.families["branches"](seed=nodes, nodes=nodes, accelerators=2)
        starts = np.setdiff1d(np.arange(nodes), problem.edges[:, 1])
        ends = np.setdiff1d(np.arange(nodes), problem.edges[:, 0])
        assert (starts.tolist(), ends.tolist()) == ([0], [nodes - 1])


def test_every_entry_of_the_library_is_stored():
    listed = {entry.name for entry in library_entries(BENCHMARK)}
    library = Library.read(FOLDER)
    assert {item.name for item in library.instances if item.problem == "graph_partition"} == listed


def test_published_workloads_are_stored_as_they_are():
    name = "bert24-training-cpus1"
    stored = load_problem(FOLDER / "graph_partition" / f"{name}.json")
    assert instance_digest(stored) == instance_digest(public_workload("bert24_training"))
    known = read_best_known(FOLDER / "best_known.csv")["graph_partition", "load", name]
    assert known.value == pytest.approx(41.7458, abs=1e-4)  # as published


@pytest.mark.parametrize(
    ("name", "objective"),
    [
        ("memory-nodes30-accelerators4-seed0", "load"),
        ("gnmt-inference-cpus0", "load"),
        ("rounds-nodes30-accelerators4-seed0", "round"),
    ],
)
def test_stored_instances_have_the_best_known_value(name, objective):
    library = Library.read(FOLDER)
    (instance,) = [item for item in library.instances if item.name == name]
    known = read_best_known(FOLDER / "best_known.csv")["graph_partition", objective, name]
    assert known.status == "proved"
    assert solve(instance.load(objective)).objective == pytest.approx(known.value, rel=1e-9)
