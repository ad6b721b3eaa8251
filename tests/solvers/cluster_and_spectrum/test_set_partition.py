"""Column generation: optimum and bound against enumeration, and certificates against listing."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from splitopt import CapabilityError, ClusterAndSpectrum, InputError, solve
from splitopt.solvers.cluster_and_spectrum.set_partition import (
    SetPartition,
    certified_bound,
)
from splitopt.solvers.cluster_and_spectrum.set_partition import cells as cell_search
from splitopt.solvers.cluster_and_spectrum.set_partition.pools import list_pool
from splitopt.solvers.cluster_and_spectrum.set_partition.pricing import Pricer
from splitopt.solvers.cluster_and_spectrum.set_partition.triples import PricedCuts


def draw(seed, sizes, subcarriers, epochs=1, whole=False):
    """Draw a cell; `whole` rounds times, so that there are ties and twins."""
    rng = np.random.default_rng(seed)
    times = rng.exponential(1, (6, sum(sizes)))
    if whole:
        times = np.round(3 * times)
        times[:, 1:3] = times[:, :1]
    return ClusterAndSpectrum(*times, 0.1, epochs, subcarriers, np.array(sizes))


@pytest.mark.one_quick
@pytest.mark.parametrize("sizes", [(2, 2, 2), (3, 3), (3, 2, 2), (4, 3, 1), (2, 2, 2, 2), (5, 5)])
@pytest.mark.parametrize("epochs", [1, 2, 5])
@pytest.mark.parametrize("whole", [False, True])
def test_it_proves_what_enumeration_finds(sizes, epochs, whole):
    """Equal and unequal clusters, ties, identical devices, several local epochs."""
    for seed in range(3):
        problem = draw(seed, sizes, max(sizes) + 2 * seed + 1, epochs, whole)
        wanted = solve(problem, "enumerate")
        found = solve(problem, SetPartition(), seed=seed)
        assert found.objective == pytest.approx(wanted.objective, rel=1e-9)
        assert found.bound <= wanted.objective * (1 + 1e-12)
        assert found.outcome == "optimal"


@pytest.mark.slow
def test_prices_prove_a_bound_whatever_they_are():
    """For random prices the search and the list agree, and no partition is below."""
    rng = np.random.default_rng(1)
    for seed in range(60):
        size = int(rng.integers(1, 5))
        devices = int(rng.integers(size, 10))
        sizes = [size] * (devices // size) + ([devices % size] if devices % size else [])
        problem = draw(seed, sizes, size + int(rng.integers(0, 8)), 1 + seed % 3, seed % 3 == 0)
        prices = rng.normal(1, 1, devices) if seed % 2 else np.round(rng.normal(2, 2, devices))
        searched = certified_bound(problem, prices)
        assert searched == pytest.approx(certified_bound(problem, prices, "list"), abs=1e-10)
        assert searched <= solve(problem, "enumerate").objective * (1 + 1e-12)


def test_listed_clusters_are_all_that_are_cheap_enough():
    """Against going through every cluster, for random prices and limits."""
    rng = np.random.default_rng(2)
    for seed in range(40):
        size, devices = 1 + seed % 4, 8
        problem = draw(
            seed,
            [size] * (devices // size) + [devices % size] * (devices % size > 0),
            size + 5,
            1 + seed % 2,
            seed % 3 == 0,
        )
        pricer = Pricer(problem)
        prices = rng.normal(1, 1, devices)
        every = np.array(list(itertools.combinations(range(devices), size)))
        reduced = pricer.seconds(every) - prices[every].sum(axis=1)
        limit = float(np.quantile(reduced, 0.4)) + 1e-9
        cuts = PricedCuts(prices, np.zeros((0, 3), dtype=np.int64), np.zeros(0))
        limits = {other: limit if other == size else -1e9 for other in pricer.count_of}
        pool, _ = list_pool(pricer, cuts, limits, 1000, lambda: False)
        place = list(limits).index(size)
        members, seconds = np.sort(pool.members[place], axis=1), pool.seconds[place]
        assert Counter(map(tuple, members.tolist())) == Counter(
            map(tuple, every[reduced <= limit].tolist())
        )
        np.testing.assert_array_equal(seconds, pricer.seconds(members))
        most = max(1, len(members) - 1)
        fewer = list_pool(pricer, cuts, limits, most, lambda: False)
        assert fewer is None or len(members) <= 1


def test_a_pricing_that_is_cut_short_still_bounds():
    """Few cells give a weaker bound, never a false one."""
    problem = draw(4, (4, 4), 9)
    wanted = solve(problem, "enumerate").objective
    for cells in (1, 5, 50):
        found = solve(problem, SetPartition(max_cells=cells, max_listed=1))
        assert found.bound <= wanted * (1 + 1e-12)
        assert found.objective >= wanted * (1 - 1e-12)


def test_more_slots_change_no_pricing(monkeypatch):
    """A search that runs out of slots goes on with more of them, where it stood, to the bit."""
    pricer = Pricer(draw(4, (3, 3, 2), 9, 2))
    prices = np.random.default_rng(5).normal(1, 1, 8)
    whole = pricer.price(prices, 3, max_found=4)
    assert whole.cells > 10
    monkeypatch.setattr(cell_search, "_FIRST_SLOTS", 2)
    grown = pricer.price(prices, 3, max_found=4)
    assert (grown.bound, grown.cells) == (whole.bound, whole.cells)
    assert np.array_equal(grown.clusters, whole.clusters)
    assert np.array_equal(grown.reduced, whole.reduced)


def test_the_certificate_travels_with_the_result():
    """From the prices alone the bound of the relaxation comes out again."""
    problem = draw(5, (4, 4, 4), 10)
    result = solve(problem, SetPartition(max_listed=1))
    bound = certified_bound(problem, result.details["prices"])
    assert bound == pytest.approx(result.bound, rel=1e-9)


@pytest.mark.slow
def test_thirty_devices_are_proved():
    """The size of CPSL's evaluation."""
    rng = np.random.default_rng(3)
    times = [scale * rng.lognormal(0, 0.4, 30) for scale in (0.03, 0.2, 0.2, 0.4, 0.1, 0.9)]
    problem = ClusterAndSpectrum(*times, 0.03, 1, 30, np.full(6, 5))
    result = solve(problem, "set_partition")
    assert result.outcome == "optimal"
    assert result.objective <= solve(problem, "anneal").objective


def test_what_does_not_fit_is_refused():
    """Too many devices, prices of another problem, too many clusters to list."""
    with pytest.raises(CapabilityError, match="most_devices = 5"):
        solve(draw(0, (3, 3), 5), SetPartition(most_devices=5))
    with pytest.raises(InputError, match="prices"):
        certified_bound(draw(0, (2, 2), 5), [1.0, 2.0])
    with pytest.raises(InputError, match="would list"):
        certified_bound(draw(0, (20, 20), 30), np.ones(40), "list")
    with pytest.raises(InputError, match="'search' or 'list'"):
        certified_bound(draw(0, (2, 2), 5), np.ones(4), "guess")
