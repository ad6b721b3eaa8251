"""Proofs by listing, cuts and covers: against enumeration, every cluster, and published optima."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from splitopt import ClusterAndSpectrum, solve
from splitopt.bench.instances.families.cluster_and_spectrum import cells
from splitopt.solvers.base import Search
from splitopt.solvers.cluster_and_spectrum.set_partition import SetPartition, certified_bound
from splitopt.solvers.cluster_and_spectrum.set_partition.pools import list_pool
from splitopt.solvers.cluster_and_spectrum.set_partition.pricing import Pricer
from splitopt.solvers.cluster_and_spectrum.set_partition.proof import Proof
from splitopt.solvers.cluster_and_spectrum.set_partition.triples import PricedCuts, violated


def draw(seed, sizes, subcarriers, epochs=1, whole=False):
    """Draw a cell; `whole` rounds times, so that there are ties and twins."""
    times = np.random.default_rng(seed).exponential(1, (6, sum(sizes)))
    if whole:
        times = np.round(3 * times)
    return ClusterAndSpectrum(*times, 0.1, epochs, subcarriers, np.array(sizes))


def random_cuts(rng, devices, count):
    """Draw prices of any sign, and cuts with prices above 0."""
    triples = np.array([np.sort(rng.choice(devices, 3, replace=False)) for _ in range(count)])
    sigma = rng.uniform(0.01, 0.3, count)
    return PricedCuts(rng.normal(1, 1, devices), triples.reshape(-1, 3), sigma)


def reduced_cost(pricer, cuts, cluster):
    """Return seconds less prices, and sigma for each triple of which two are inside."""
    value = pricer.seconds(np.array([cluster]))[0] - cuts.prices[list(cluster)].sum()
    inside = [len(set(triple) & set(cluster)) >= 2 for triple in cuts.triples.tolist()]
    return value + cuts.sigma[np.array(inside, dtype=bool)].sum()


@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize("whole", [False, True])
def test_pools_hold_all_clusters_below_the_limit(epochs, whole):
    """Against the reduced cost of every cluster by its definition, with cuts and without."""
    rng = np.random.default_rng(3)
    for seed in range(6):
        size = 2 + seed % 3
        problem = draw(seed, [size] * (8 // size) + [8 % size] * (8 % size > 0), 9, epochs, whole)
        pricer = Pricer(problem)
        cuts = random_cuts(rng, 8, 4 * (seed % 2))
        every = list(itertools.combinations(range(8), size))
        reduced = np.array([reduced_cost(pricer, cuts, cluster) for cluster in every])
        limit = float(np.quantile(reduced, 0.4)) + 1e-9
        limits = dict.fromkeys(pricer.count_of, limit)
        pool, bound = list_pool(pricer, cuts, limits, 1000, lambda: False)
        place = list(pricer.count_of).index(size)
        listed = Counter(tuple(sorted(row)) for row in pool.members[place].tolist())
        assert listed == Counter(
            cluster for cluster, value in zip(every, reduced, strict=True) if value < limit
        )
        again = [reduced_cost(pricer, cuts, sorted(row)) for row in pool.members[place].tolist()]
        np.testing.assert_allclose(pool.reduced(cuts)[place], again, atol=1e-9)
        wanted = solve(problem, "enumerate").objective
        assert bound <= wanted * (1 + 1e-12)
        assert list_pool(pricer, cuts, limits, 1, lambda: False) is None


def test_partitions_with_unlisted_clusters_take_at_least_the_ceiling():
    """Every partition is looked at."""
    problem = draw(5, (3, 3), 8)
    pricer = Pricer(problem)
    cuts = random_cuts(np.random.default_rng(0), 6, 3)
    every = list(itertools.combinations(range(6), 3))
    limits = {3: float(np.median([reduced_cost(pricer, cuts, cluster) for cluster in every]))}
    pool, _ = list_pool(pricer, cuts, limits, 1000, lambda: False)
    inside = {tuple(sorted(row)) for row in pool.members[0].tolist()}
    assert 0 < len(inside) < 20
    for rest in itertools.combinations(range(1, 6), 2):
        first = (0, *rest)
        second = tuple(sorted(set(range(6)) - set(first)))
        value = problem.evaluate(problem.complete([first, second]))
        assert {first, second} <= inside or value >= pool.ceiling - 1e-9


def test_violated_cuts_are_those_of_the_definition():
    """For random weights of random clusters, against all triples."""
    rng = np.random.default_rng(4)
    clusters = [np.sort(rng.choice(9, 4, replace=False)) for _ in range(14)]
    weights = rng.uniform(0, 0.5, 14)
    found = violated(clusters, weights, 9, set(), 1000, 1000)
    wanted = {}
    for triple in itertools.combinations(range(9), 3):
        weight = sum(
            w for c, w in zip(clusters, weights, strict=True) if len(set(c) & set(triple)) >= 2
        )
        if weight > 1 + 1e-4:
            wanted[triple] = weight
    assert set(found) == set(wanted)
    assert [wanted[t] for t in found] == sorted(wanted.values(), reverse=True)


@pytest.mark.one_quick
@pytest.mark.parametrize("sizes", [(3, 3, 3), (4, 3, 2), (2, 2, 2, 2, 1), (3, 3, 2)])
@pytest.mark.parametrize("epochs", [1, 3])
def test_it_proves_what_enumeration_finds_from_any_prices(sizes, epochs):
    """Poor prices make it list more; the optimum is the same, and found from any partition."""
    for seed in range(3):
        problem = draw(seed, sizes, 8, epochs, seed == 2)
        wanted = solve(problem, "enumerate").objective
        rng = np.random.default_rng(seed)
        pricer = Pricer(problem)
        search = Search(problem, None, 1e-9, seed)
        order = rng.permutation(problem.devices)
        search.propose(problem.complete(np.split(order, np.cumsum(sizes)[:-1])))
        prices = rng.normal(1, 0.2, problem.devices)
        search.prove(certified_bound(problem, prices, "list"))
        cuts = PricedCuts(prices, np.zeros((0, 3), dtype=np.int64), np.zeros(0))
        Proof(pricer, search, cuts, 1.0, 100_000, lambda _: None).run()
        assert search.objective == pytest.approx(wanted, rel=1e-9)
        assert search.bound <= wanted * (1 + 1e-12)
        assert search.gap <= 1e-9


@pytest.mark.slow
def test_a_pool_that_is_cut_short_proves_no_more_than_its_ceiling():
    """Few clusters may be listed; the bound stays below the optimum."""
    for seed in range(4):
        problem = draw(seed, (3, 3, 3), 8)
        wanted = solve(problem, "enumerate").objective
        for most in (2, 5, 12):
            found = solve(problem, SetPartition(max_listed=most, max_compositions=1))
            assert found.bound <= wanted * (1 + 1e-12)
            assert found.objective >= wanted * (1 - 1e-12)


@pytest.mark.slow
def test_two_starts_lead_to_the_same_proof():
    """Other prices, other cuts, other covers, the same optimum."""
    problem = cells(0, 45)
    found = [solve(problem, "set_partition", seed=seed, time_limit_s=100) for seed in (0, 1)]
    assert [result.outcome for result in found] == ["optimal"] * 2
    assert found[0].objective == pytest.approx(found[1].objective, rel=1e-9)
    mixed = 0.5 * (np.array(found[0].details["prices"]) + np.array(found[1].details["prices"]))
    assert certified_bound(problem, mixed) <= found[0].objective


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "subcarriers", "optimum"),
    [
        (0, 30, 11.542311149),
        (1, 30, 11.007363354),
        (2, 30, 11.319641294),
        (3, 30, 11.388383488),
        (5, 30, 11.725217454),
        (0, 10, 19.818835557),
        (1, 10, 19.828921744),
    ],
)
def test_sixty_devices_are_proved(seed, subcarriers, optimum):
    """The optima were first proved by a listing and covers of another program, without cuts."""
    problem = cells(seed, 60, subcarriers=subcarriers)
    result = solve(problem, "set_partition", time_limit_s=200, seed=1)
    assert result.outcome == "optimal"
    assert result.objective == pytest.approx(optimum, abs=2e-9)
    assert problem.evaluate(result.decision) == result.objective


@pytest.mark.slow
def test_hundred_devices_are_proved():
    """The optimum was first proved by other cuts, and by HiGHS over all columns that were left."""
    problem = cells(0, 100)
    result = solve(problem, "set_partition", time_limit_s=300)
    assert result.outcome == "optimal"
    assert result.objective == pytest.approx(18.536394165, abs=2e-9)
