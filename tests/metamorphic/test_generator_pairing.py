"""What must not change, or only in one direction, when a pairing is told otherwise."""

from dataclasses import replace

import numpy as np
import pytest

from splitopt import GeneratorPairing, solve
from splitopt.bench.instances.families.generator_pairing import BENCHMARK

FAMILIES = ("links", "whole", "capped", "several", "quality")


def drawn(family, seed=0):
    return BENCHMARK.families[family](seed=seed, devices=9, labels=6)


def fields(problem):
    """Return what a problem is made of, by name."""
    names = ("quality", "caps", "sources", "redundant", "quality_weight")
    found = {name: getattr(problem, name) for name in names}
    return found | {"cost": problem.cost, "classes": problem.classes, "labels": problem.labels}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_order_of_devices_and_labels_does_not_matter(family):
    problem = drawn(family)
    given, rng = fields(problem), np.random.default_rng(1)
    devices, labels = rng.permutation(9), rng.permutation(6)
    given["cost"] = given["cost"][np.ix_(devices, devices)]
    given["labels"] = [problem.labels[c] for c in labels]
    given["sources"] = given["sources"][labels]
    for name in ("classes", "quality"):
        if given[name] is not None:
            given[name] = given[name][np.ix_(devices, labels)]
    if given["caps"] is not None:
        given["caps"] = given["caps"][devices]
    same = solve(GeneratorPairing(**given))
    assert same.objective == pytest.approx(solve(problem).objective)


@pytest.mark.parametrize("family", FAMILIES)
def test_other_units_scale_the_cost(family):
    problem = drawn(family)
    given = fields(problem)
    given["cost"] = 1000 * given["cost"]
    given["quality_weight"] *= 1000
    scaled = solve(GeneratorPairing(**given))
    assert scaled.objective == pytest.approx(1000 * solve(problem).objective)


def test_more_freedom_never_costs_more():
    """Higher caps, fewer sources, a device with all classes that sends to everybody."""
    problem = drawn("capped", 3)
    best = solve(problem).objective
    for changes in ({"caps": problem.caps + 1}, {"caps": None}):
        assert solve(replace(problem, **changes)).objective <= best * (1 + 1e-9)
    tighter = solve(replace(problem, redundant=True))
    assert tighter.outcome == "infeasible" or tighter.objective >= best * (1 - 1e-9)


def test_a_device_that_lacks_nothing_and_is_dear_changes_nothing():
    problem = drawn("links", 2)
    cost = np.full((10, 10), 1e3)
    cost[:9, :9] = problem.cost
    classes = np.vstack((problem.classes, np.ones((1, 6), dtype=bool)))
    more = GeneratorPairing(cost, classes=classes, labels=problem.labels)
    assert solve(more).objective == pytest.approx(solve(problem).objective)
