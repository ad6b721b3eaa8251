"""The families of pipelines: what they promise, and that a seed always draws the same."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import solve
from splitopt.bench.instances.benchmark import Recipe
from splitopt.bench.instances.families.pipeline_partition import BENCHMARK, LINKED
from splitopt.bench.instances.library.pipeline_partition import by_hand, entries
from splitopt.bench.instances.suites import find_instance, find_suite, suite_instances
from splitopt.problems.digest import instance_digest


def draw(family, layers=12, nodes=6, seed=0):
    """Draw an instance of a family."""
    return BENCHMARK.draw(Recipe(family, {"layers": layers, "nodes": nodes}, seed))


@pytest.mark.parametrize("family", BENCHMARK.families)
def test_a_seed_always_draws_the_same(family):
    first, again, other = draw(family), draw(family), draw(family, seed=1)
    assert instance_digest(first) == instance_digest(again) != instance_digest(other)
    assert (first.layers, first.nodes) == (12, 6)
    assert np.array_equal(first.forward_s, first.forward_s.astype(np.float32))
    assert first.askable == BENCHMARK.objectives_of(family)
    for objective in first.askable:
        assert instance_digest(first.with_objective(objective)) == instance_digest(first)


def test_digests_are_those_of_other_machines():
    """Numbers drawn here are the numbers drawn when this test was written, to the last bit."""
    found = {name: instance_digest(draw(name)) for name in ("types", "speeds", "links_pairwise")}
    assert found == {
        "types": "3866f34ece62f4d3",
        "speeds": "286e72fc6eedf77d",
        "links_pairwise": "5673d34724407bc8",
    }


def test_families_are_what_they_say():
    kinds = {name: len(np.unique(draw(name).forward_s, axis=0)) for name in BENCHMARK.families}
    assert (kinds["uniform"], kinds["types"], kinds["speeds"]) == (1, 3, 6)
    assert set(np.unique(draw("whole").forward_s)) <= set(range(6))
    spread = draw("decades", 100).forward_s
    assert spread.max() / spread.min() > 1e5
    assert not draw("idle").use_all_nodes
    assert draw("given").order == "given"
    assert draw("infeasible").infeasibility() is not None
    assert [draw(name).links.model for name in LINKED] == ["uniform", "pairwise", "nic", "serial"]


def test_memory_binds_in_the_family_that_is_named_after_it():
    tight = draw("memory", 37, 5)
    roomy = type(tight).from_data(
        tight.data() | {"node_memory_bytes": np.full(5, 1e9)}, "period", "x"
    )
    assert solve(tight).objective > 1.05 * solve(roomy).objective


@pytest.mark.parametrize("family", [*BENCHMARK.families])
def test_every_other_family_has_an_answer(family):
    if "infeasible" in family:
        return
    for seed in range(3):
        assert solve(draw(family, seed=seed)).outcome == "optimal"


@pytest.mark.slow
def test_the_library_makes_its_files_anew():
    built = {
        entry.name: entry.make
        for entry in entries(BENCHMARK.families)
        if not isinstance(entry.make, Recipe)
    }
    assert len(built) == 9
    for name, build in built.items():
        kept = find_instance(name).load("period")
        assert kept.forward_s == pytest.approx(build().forward_s, rel=1e-12)
        assert kept.node_memory_bytes == pytest.approx(build().node_memory_bytes, rel=1e-12)
    assert solve(by_hand(), "enumerate").objective == 30


def test_the_suites_have_all_sizes():
    sizes = {
        tuple(item.recipe.parameters.values())
        for item in suite_instances(find_suite("scaling"), ["pipeline_partition"])
    }
    assert {(25, 5), (37, 5), (1000, 10)} <= sizes
