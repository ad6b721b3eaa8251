"""Fleets of few types: optimum against enumeration and a dynamic program over counts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from splitopt import CapabilityError, ClusterAndSpectrum, solve
from splitopt.problems.cluster_and_spectrum.subcarriers import allocate_cluster
from splitopt.solvers.cluster_and_spectrum.set_partition import SetPartition, certified_bound
from splitopt.solvers.cluster_and_spectrum.set_partition.compositions import Compositions
from splitopt.solvers.cluster_and_spectrum.set_partition.types import (
    all_compositions,
    count_compositions,
    exact_types,
    near_types,
)


def fleet(seed, counts, sizes, subcarriers, epochs=1, spread=0.0, whole=False, chain=False):
    """Draw types with so many devices each, in any order; `chain` has each dominate the next."""
    rng = np.random.default_rng(seed)
    rows = rng.exponential(1, (len(counts), 6))
    if whole:
        rows = np.round(2 * rows)
    if chain:
        rows = np.cumsum(rows, axis=0)
    of = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    times = rows[of] * (1 + spread * rng.uniform(-1, 1, (len(of), 6)))
    return ClusterAndSpectrum(*times.T, 0.05, epochs, subcarriers, np.array(sizes))


def by_counts(problem, of):
    """Fewest seconds by a dynamic program over how many devices of each type are left."""
    size, clusters = int(problem.cluster_sizes[0]), len(problem.cluster_sizes)
    counts = np.bincount(of)
    first = [np.flatnonzero(of == t) for t in range(len(counts))]
    rows = [
        row
        for row in itertools.product(*(range(min(n, size) + 1) for n in counts))
        if sum(row) == size
    ]
    cost = {
        row: allocate_cluster(problem, np.concatenate([first[t][:n] for t, n in enumerate(row)]))[0]
        for row in rows
    }
    best = np.full(counts + 1, np.inf)
    best[(0,) * len(counts)] = 0.0
    for _ in range(clusters):
        after = np.full_like(best, np.inf)
        for row in rows:
            target = tuple(slice(n, None) for n in row)
            source = tuple(slice(None, m + 1 - n) for m, n in zip(counts, row, strict=True))
            np.minimum(after[target], best[source] + cost[row], out=after[target])
        best = after
    return float(best[tuple(counts)])


def types_of(problem):
    """Return the type of each device, by its fields."""
    fields = np.stack([getattr(problem, name) for name in vars(problem) if name.endswith("_s")])
    return np.unique(fields, axis=1, return_inverse=True)[1].reshape(-1)


@pytest.mark.one_quick
@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize("sizes", [(3, 3, 3), (4, 3, 2), (2, 2, 2, 2, 1)])
@pytest.mark.parametrize("kind", [{}, {"whole": True}, {"chain": True}])
def test_it_proves_what_enumeration_finds(sizes, epochs, kind):
    """Equal and unequal clusters, ties, types that dominate each other, a device like no other."""
    for seed, counts in enumerate([(5, 4), (4, 4, 1), (3, 3, 2, 1)]):
        problem = fleet(seed, counts, sizes, 7 + seed, epochs, **kind)
        found = solve(problem, "set_partition")
        wanted = solve(problem, "enumerate")
        assert found.outcome == "optimal"
        assert found.details["types"] <= len(counts)
        assert found.objective == pytest.approx(wanted.objective, rel=1e-9)
        assert found.bound <= wanted.objective * (1 + 1e-12)


@pytest.mark.parametrize("counts", [(37, 63), (20, 33, 47), (1, 42, 57)])
def test_hundred_devices_equal_a_dynamic_program(counts):
    """The program over counts shares nothing with the integer program."""
    problem = fleet(7, counts, [5] * 20, 18)
    found = solve(problem, "set_partition")
    assert found.outcome == "optimal"
    wanted = by_counts(problem, types_of(problem))
    assert found.objective == pytest.approx(wanted, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("epochs", [1, 3])
def test_four_types_equal_a_dynamic_program(seed, epochs):
    """As above, with four types."""
    problem = fleet(seed, (19, 27, 31, 23), [5] * 20, 18, epochs)
    found = solve(problem, "set_partition")
    assert found.outcome == "optimal"
    wanted = by_counts(problem, types_of(problem))
    assert found.objective == pytest.approx(wanted, rel=1e-9)


def test_ten_thousand_devices_are_proved():
    """The relaxation's prices alone come within a part of a thousand, from every composition."""
    problem = fleet(1, (2500, 2600, 4900), [5] * 2000, 30)
    result = solve(problem, "set_partition")
    assert result.outcome == "optimal"
    types = exact_types(problem, 100)
    prices = np.array(result.details["prices"])
    bound = Compositions(problem, types).bound(
        np.array([prices[types.of == t][0] for t in range(3)])
    )
    assert result.objective * 0.999 < bound <= result.objective


def test_prices_of_types_are_a_certificate_of_the_devices():
    """What they prove by compositions, `certified_bound` proves by clusters of devices."""
    problem = fleet(3, (5, 4, 3), (4, 4, 4), 9)
    result = solve(problem, "set_partition")
    bound = Compositions(problem, types := exact_types(problem, 100)).bound(
        np.array([np.array(result.details["prices"])[types.of == t][0] for t in range(3)])
    )
    for method in ("search", "list"):
        listed = certified_bound(problem, result.details["prices"], method)
        assert listed == pytest.approx(bound, rel=1e-9)


@pytest.mark.parametrize("epochs", [1, 3])
def test_nearly_equal_devices_are_certified_to_what_they_are_apart(epochs):
    """The corners' optimum is below the true one, by about the spread; the dealt plan above it."""
    for seed in range(4):
        problem = fleet(seed, (5, 4), (3, 3, 3), 8, epochs, spread=0.005)
        types = near_types(problem, 1000)
        assert types is not None
        assert (types.terms[types.of] <= problem.terms).all()
        program = Compositions(problem, types)
        answer = program.whole(60.0, 0)
        server_s = problem.local_epochs * problem.devices * problem.server_s_per_device
        dealt = problem.complete(program.dealt(np.rint(answer.values).astype(int)))
        wanted = solve(problem, "enumerate").objective
        assert answer.bound + server_s <= wanted <= problem.evaluate(dealt) * (1 + 1e-12)
        assert problem.evaluate(dealt) <= (answer.bound + server_s) * 1.02


@pytest.mark.slow
def test_a_large_fleet_of_nearly_equal_devices_is_taken():
    """Beyond the limit on devices, as there are a few groups; what swaps do is on top."""
    problem = fleet(2, (500, 400, 300), [5] * 240, 20, spread=0.001)
    result = solve(problem, "set_partition", time_limit_s=2)
    assert result.gap < 0.004
    assert result.details["types"] < 20


def test_devices_of_no_types_are_refused():
    """The message says that they are not of a few types."""
    problem = fleet(0, [1] * 80, [5] * 16, 10)
    assert near_types(problem, 10_000) is None
    with pytest.raises(CapabilityError, match="not of a few types"):
        solve(problem, SetPartition(most_devices=70))


def test_compositions_are_listed_once_each():
    """Against all tuples of counts."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        counts = rng.integers(1, 5, rng.integers(1, 5))
        size = int(rng.integers(1, counts.sum() + 1))
        every = [
            row for row in itertools.product(*(range(n + 1) for n in counts)) if sum(row) == size
        ]
        listed = all_compositions(counts, size)
        assert list(map(tuple, listed.tolist())) == every
        assert count_compositions(counts, size) == len(every)
