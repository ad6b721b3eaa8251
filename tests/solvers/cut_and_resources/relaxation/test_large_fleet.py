"""Passes over large fleets: compiled and plain loops, blocks, duplicates, and the bounds."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from splitopt import CutAndResources
from splitopt.solvers.cut_and_resources.relaxation import kernels, large_makespan, large_sum
from splitopt.solvers.cut_and_resources.relaxation.grouping import fleet_of
from splitopt.solvers.cut_and_resources.relaxation.large_fleet import LargeFleet
from splitopt.solvers.cut_and_resources.relaxation.large_makespan import large_makespan_root, proven
from splitopt.solvers.cut_and_resources.relaxation.large_root import sample, slowest
from splitopt.solvers.cut_and_resources.relaxation.large_sum import large_sum_root
from splitopt.solvers.cut_and_resources.relaxation.root import solve_root

PRICE = np.array([0.7, 0.2, 1.3])
MATRIX = np.array([[0.9, 0.3, 0.2], [0.1, -0.2, 0.1], [0.0, 0.05, -0.1]])


def draw(seed=0, devices=300, layers=5, form="factors", kinds=None):
    """Draw a fleet as factors or as tables, masked, with some cuts that need nothing."""
    rng = np.random.default_rng(seed)
    member = np.arange(devices) if kinds is None else rng.integers(0, kinds, devices)
    masks = rng.random((6, layers)) < 0.6
    masks[:, -1] = True
    mask = rng.integers(0, 6, devices)[member]
    factors = {}
    for part, terms in (("download", 2), ("upload", 2), ("server", 1), ("device", 1)):
        factors[f"{part}_scales"] = rng.uniform(0.5, 5, (terms, devices))[:, member]
        factors[f"{part}_shapes"] = rng.uniform(0.1, 3, (terms, layers))
    factors["server_shapes"][:, -1] = 0.0
    problem = CutAndResources.from_factors(factors | {"masks": masks, "mask": mask})
    return problem if form == "factors" else tabled(problem)


def tabled(problem):
    """Return the same problem as tables."""
    names = ("download_s", "upload_s", "server_s", "device_s", "allowed", "objective")
    return CutAndResources(*(getattr(problem, name) for name in names))


@pytest.mark.one_quick
@pytest.mark.parametrize("form", ["factors", "tables"])
@pytest.mark.parametrize("call", ["price_sum", "price_deadline"])
def test_compiled_loops_equal_the_plain_ones(form, call):
    """Numba and NumPy fill the same blocks, choose the same cuts, and add up to the same."""
    large = LargeFleet.of(draw(1, form=form))
    fast = replace(large, fast=True)
    assert fast.kernel is kernels.machine_code()
    assert fast.kernel is not large.kernel
    for (_, plain), (_, block) in zip(large.blocks(), fast.blocks(), strict=True):
        np.testing.assert_array_equal(plain, block)
    for price, deadline in ((MATRIX, 9.0), (MATRIX * [[1], [0], [0]], 6.0), (MATRIX, 1.0)):
        arguments = (PRICE,) if call == "price_sum" else (price, deadline)
        found, expected = (getattr(one, call)(*arguments) for one in (fast, large))
        np.testing.assert_array_equal(found.cuts, expected.cuts)
        np.testing.assert_allclose(found.sums, expected.sums, rtol=1e-13)


@pytest.mark.parametrize("block", [1, 7, 300, 4096])
def test_the_size_of_blocks_does_not_matter(block):
    """Any number of devices at a time gives the same cuts and sums."""
    large = LargeFleet.of(draw(2))
    other = replace(large, block=block)
    for call, arguments in (("price_sum", (PRICE,)), ("price_deadline", (MATRIX, 9.0))):
        found, expected = getattr(other, call)(*arguments), getattr(large, call)(*arguments)
        np.testing.assert_array_equal(found.cuts, expected.cuts)
        np.testing.assert_allclose(found.sums, expected.sums, rtol=1e-13)


@pytest.mark.parametrize("form", ["factors", "tables"])
def test_a_pass_finds_the_cheapest_cuts(form):
    """Cuts and costs are those of all cuts tried one by one, by the definition."""
    problem = draw(3, devices=40, form=form)
    large = LargeFleet.of(problem)
    seconds = np.stack((problem.download_s, problem.upload_s, problem.server_s))
    roots = np.sqrt(seconds)
    costs = np.where(problem.allowed, problem.device_s + np.tensordot(PRICE, roots, 1), np.inf)
    found = large.price_sum(PRICE)
    assert (found.cuts == costs.argmin(axis=1)).all()
    assert found.sums[0] == pytest.approx(costs.min(axis=1).sum())
    deadline = 20.0
    work = (np.tensordot(MATRIX, roots, 1) ** 2).sum(axis=0)
    usable = problem.allowed & (problem.device_s < deadline)
    costs = np.where(usable, work / np.where(usable, deadline - problem.device_s, 1.0), np.inf)
    found = large.price_deadline(MATRIX, deadline)
    assert (found.cuts == costs.argmin(axis=1)).all()
    assert found.sums[0] == pytest.approx(costs.min(axis=1).sum())


@pytest.mark.parametrize("form", ["factors", "tables"])
def test_duplicates_are_counted_once(form):
    """Equal devices become a class, in any order, and the sums stay the same."""
    problem = draw(4, devices=500, kinds=7, form=form)
    large = LargeFleet.of(problem)
    kinds = fleet_of(tabled(problem)).classes
    assert large.classes == kinds <= 7
    assert large.count.sum() == 500
    whole = LargeFleet(replace(large).source, large.count, large.member)
    cuts = large.expand([large.price_sum(PRICE).cuts], large.count[None])
    chosen = problem.chosen(cuts)
    sums = whole.price_sum(PRICE).sums
    np.testing.assert_allclose(sums[1:4], np.sqrt(chosen[:3]).sum(axis=1), rtol=1e-12)
    assert sums[4] == pytest.approx(chosen[3].sum())


def test_classes_with_counts_are_merged_too():
    """A count given and duplicates found multiply."""
    problem = draw(5, devices=4, kinds=2)
    factors = problem.factors.data() | {"count": np.array([3, 1, 2, 5])}
    counted = CutAndResources.from_factors(factors)
    large = LargeFleet.of(counted)
    fleet, expected = large.fleet(), fleet_of(tabled(counted))
    assert sorted(large.count) == sorted(expected.count)
    np.testing.assert_array_equal(fleet.roots[fleet.member], expected.roots[expected.member])
    np.testing.assert_array_equal(fleet.device_s[fleet.member], expected.device_s[expected.member])


def test_nearly_equal_devices_stay_apart():
    """A difference in the last digit keeps devices apart."""
    problem = draw(6, devices=60, kinds=3)
    factors = dict(problem.factors.data())
    scales = np.array(factors["device_scales"])
    before = LargeFleet.of(problem).classes
    scales[0, 0] = np.nextafter(scales[0, 0], 9.0)
    assert LargeFleet.of(
        CutAndResources.from_factors(factors | {"device_scales": scales})
    ).classes == (before + 1)


@pytest.mark.one_quick
@pytest.mark.parametrize("root", [large_sum_root, large_makespan_root])
@pytest.mark.parametrize("seed", range(12))
def test_no_plan_is_better_than_the_bound(root, seed):
    """Trying all plans of a few devices finds none below the bound, wherever the search stops."""
    problem = draw(seed, devices=5, layers=3)
    objective = "sum" if root is large_sum_root else "makespan"
    problem = problem.with_objective(objective)
    best = min(
        problem.evaluate(problem.complete(cuts))
        for cuts in product((1, 2, 3), repeat=5)
        if problem.permits(np.array(cuts)).all()
    )
    large = LargeFleet.of(problem)
    for passes in (1, 2, 4, 1000):
        left = passes

        def watch(bound, used):
            nonlocal left
            left -= used
            assert bound <= best * (1 + 1e-12)
            return left <= 0

        for prices in (None, np.array([3.0, 1.0, 0.5]), np.array([1e-3, 10.0, 1.0])):
            left = passes
            assert root(large, 1e-10, watch, prices).bound <= best * (1 + 1e-12)


@pytest.mark.parametrize("objective", ["sum", "makespan"])
@pytest.mark.parametrize("kinds", [None, 9])
def test_roots_agree_with_those_of_small_fleets(objective, kinds):
    """Block by block the relaxed problem has the same optimum as with all tables at hand."""
    problem = draw(7, devices=2000, kinds=kinds).with_objective(objective)
    root = large_sum_root if objective == "sum" else large_makespan_root
    found = root(LargeFleet.of(problem), 1e-12, lambda bound, passes: False)
    expected = solve_root(objective, fleet_of(tabled(problem)))
    assert found.bound == pytest.approx(expected.bound, rel=1e-9)


@pytest.mark.parametrize("module", [large_sum, large_makespan])
@pytest.mark.parametrize("kinds", [None, 9])
def test_mixing_alone_gets_there(module, kinds, monkeypatch):
    """Simplicial decomposition proves the same bound where the quasi-Newton method gives up."""
    monkeypatch.setattr(module._Search, "newton", lambda *_: False)
    problem = draw(8, devices=2000, kinds=kinds)
    objective = "sum" if module is large_sum else "makespan"
    root = large_sum_root if objective == "sum" else large_makespan_root
    found = root(LargeFleet.of(problem), 1e-10, lambda bound, passes: False)
    expected = solve_root(objective, fleet_of(tabled(problem)))
    assert found.bound == pytest.approx(expected.bound, rel=1e-9)
    assert found.weights.sum() == pytest.approx(1)


def test_a_sample_holds_the_slowest():
    """The devices that are slowest alone are in the sample, for themselves only."""
    rng = np.random.default_rng(0)
    devices = 60_000
    one = np.ones((1, 3))
    slow = rng.pareto(1.0, devices)[None] + 1
    factors = {f"{part}_shapes": one for part in ("download", "upload", "server", "device")}
    factors |= {f"{part}_scales": slow for part in ("download", "upload", "server", "device")}
    large = LargeFleet.of(CutAndResources.from_factors(factors))
    alone = slowest(large).alone
    np.testing.assert_allclose(alone, 4 * slow[0])
    part = sample(large, alone)
    assert slowest(part).alone.max() == alone.max()
    assert part.count[slowest(part).alone.argmax()] == 1
    assert part.count.sum() == pytest.approx(devices, rel=0.2)


def test_a_deadline_is_proved_too_short_only_by_costs():
    """Costs above the budget prove the deadline, costs below it an earlier one, none nothing."""
    assert proven(1.5, 10.0) == pytest.approx(10.0)
    assert proven(1.5, 10.0) < 10.0
    assert proven(0.8, 10.0) == pytest.approx(7.5)
    assert proven(0.0, 10.0) == 0.0
    assert proven(np.inf, 10.0) == pytest.approx(10.0)
