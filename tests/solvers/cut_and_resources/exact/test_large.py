"""Large fleets: `exact` block by block finds the optimum, from given prices too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from splitopt import CutAndResources, InputError, solve
from splitopt.errors import CapabilityError
from splitopt.solvers.cut_and_resources.exact.large import rounded
from splitopt.solvers.cut_and_resources.relaxation.large_fleet import LargeFleet
from splitopt.solvers.cut_and_resources.relaxation.simplicial import Root

OBJECTIVES = ("sum", "makespan")
ROOT = Path(__file__).parents[4]


def draw(seed, devices, objective="sum", kinds=None, noise=0.0, layers=6):
    """Draw a fleet like those of split learning: work rises with the cut, the rest falls."""
    rng = np.random.default_rng(seed)
    member = np.arange(devices) if kinds is None else rng.integers(0, kinds, devices)
    shapes = np.sort(rng.uniform(0.05, 1, (3, layers)))
    scales = rng.uniform(1, 4, (4, devices))[:, member]
    scales = scales * (1 + noise * np.random.default_rng(seed + 1).uniform(-1, 1, scales.shape))
    factors = {"device_shapes": shapes[:1], "server_shapes": 1.0 - shapes[:1]}
    for part, scale in zip(("download", "upload"), scales[:2], strict=True):
        factors[f"{part}_shapes"] = np.array([shapes[1], shapes[2, ::-1]])
        factors[f"{part}_scales"] = np.array([scale, scale * scales[2]]) / devices
    factors["server_scales"] = scales[2:3] / devices
    factors["device_scales"] = scales[2:3] * scales[3:] * 3
    masks = np.triu(np.ones((layers, layers), dtype=bool))[: layers // 2]
    factors |= {"masks": masks, "mask": rng.integers(0, len(masks), devices)[member]}
    return CutAndResources.from_factors(factors, objective)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(
    ("kinds", "noise"), [(None, 0.0), (15, 0.0), (15, 1e-6), (1, 0.0), (3, 1e-9)]
)
def test_block_by_block_finds_the_same_optimum(objective, kinds, noise):
    """The certified optima of both ways agree, with ties and nearly ties too."""
    problem = draw(3, 3000, objective, kinds, noise)
    small = solve(problem, "exact")
    large = solve(problem, "exact", chunk_above=0)
    assert small.outcome == large.outcome == "optimal"
    assert large.objective == pytest.approx(small.objective, rel=2e-9)
    assert large.bound <= small.objective * (1 + 1e-12)
    assert small.bound <= large.objective * (1 + 1e-12)


@pytest.mark.one_quick
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", range(6))
def test_small_fleets_are_finished_by_the_tree(objective, seed):
    """Where the relaxed problem leaves a gap, the tree closes it: enumeration agrees."""
    problem = draw(seed, 5, objective, layers=4)
    found = solve(problem, "exact", chunk_above=0)
    assert found.outcome == "optimal"
    assert found.objective == pytest.approx(solve(problem, "enumerate").objective, rel=2e-9)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_tables_and_factors_have_the_same_optimum(objective):
    """It does not matter how the numbers are given."""
    problem = draw(4, 500, objective)
    names = ("download_s", "upload_s", "server_s", "device_s", "allowed", "objective")
    tables = CutAndResources(*(getattr(problem, name) for name in names))
    for chunk_above in (0, 10**9):
        found = [solve(one, "exact", chunk_above=chunk_above) for one in (problem, tables)]
        assert found[0].objective == pytest.approx(found[1].objective, rel=2e-9)
        assert [one.outcome for one in found] == ["optimal", "optimal"]


@pytest.mark.one_quick
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("chunk_above", [0, 10**9])
def test_prices_of_a_similar_problem_save_passes(objective, chunk_above):
    """After 1 % noise the answer is as good as from scratch, in a handful of passes."""
    before = solve(draw(5, 4000, objective), "exact", chunk_above=chunk_above)
    similar = draw(5, 4000, objective, noise=0.01)
    prices = tuple(before.details["prices"])
    warm = solve(similar, "exact", chunk_above=chunk_above, prices=prices)
    cold = solve(similar, "exact", chunk_above=chunk_above)
    assert warm.outcome == "optimal"
    assert warm.objective == pytest.approx(cold.objective, rel=2e-9)
    assert warm.iterations <= max(cold.iterations, 6)


@pytest.mark.one_quick
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("prices", [(0.0, 0.0, 0.0), (1e9, 1.0, 1e-9), (1.0, 1.0, 0.0)])
def test_no_prices_are_too_bad_to_start_from(objective, prices):
    """Any prices lead to the optimum."""
    problem = draw(6, 200, objective)
    best = solve(problem, "exact").objective
    for chunk_above in (0, 10**9):
        found = solve(problem, "exact", chunk_above=chunk_above, prices=prices)
        assert found.outcome == "optimal"
        assert found.objective == pytest.approx(best, rel=2e-9)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"prices": (1.0, 2.0)},
            "prices: is 2, it must be 3 entries (one each of download, upload, server)",
        ),
        ({"prices": (1.0, 2.0, -1.0)}, "prices[2]: is -1.0"),
        ({"chunk_above": -1}, "chunk_above: is -1"),
    ],
)
def test_bad_options_are_named(options, words):
    """A wrong hyper-parameter ends in one sentence."""
    with pytest.raises((InputError, CapabilityError)) as caught:
        solve(draw(0, 3), "exact", **options)
    assert words in str(caught.value)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_no_time_still_gives_a_plan(objective):
    """With a limit of zero there is a feasible plan, and its gap is honest."""
    found = solve(draw(7, 2000, objective), "exact", chunk_above=0, time_limit_s=0)
    assert found.outcome == "feasible"
    assert found.stop_reason == "time"


def test_rounding_keeps_the_mean():
    """The devices that use each vector of cuts are as many as its weight says."""
    problem = draw(8, 5000, kinds=40)
    large = LargeFleet.of(problem)
    columns = [np.full(large.classes, cut) for cut in (3, 4, 5)]
    weights = np.array([0.5, 0.3, 0.2])
    parts = rounded(large, Root(0.0, np.ones(4), np.ones(3), columns, weights))
    np.testing.assert_array_equal(parts.sum(axis=0), large.count)
    assert np.abs(parts - weights[:, None] * large.count).max() < 2
    np.testing.assert_allclose(parts.sum(axis=1), 5000 * weights, atol=2)
    cuts = large.expand(columns, parts)
    np.testing.assert_array_equal(np.bincount(cuts)[4:7], parts.sum(axis=1))


@pytest.mark.slow
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_million_devices_fit_into_a_gigabyte(objective):
    """In a process of its own, with a certified gap of at most 1e-9."""
    case = {"family": "masks", "objective": objective, "devices": 1_000_000, "seed": 0}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scale.case", json.dumps(case)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["outcome"] == "optimal"
    assert found["gap"] <= 1e-9
    assert found["peak_mib"] < 1e9 / 2**20
