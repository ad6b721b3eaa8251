"""Sharing subcarriers: against all possible shares, and the compiled loops against plain ones."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from splitopt import InfeasibleError, InputError
from splitopt.problems.cluster_and_spectrum import loops
from splitopt.problems.cluster_and_spectrum.subcarriers import (
    RULES,
    allocate_cluster,
    allocate_clusters,
)

FAMILIES = [(epochs, ties) for epochs in (1, 2, 5) for ties in (False, True)]


def least_seconds(problem):
    """Try every way to share the subcarriers in the one cluster of a problem."""
    size, spare = problem.devices, problem.subcarriers - problem.devices
    every = np.array(
        [x for x in itertools.product(range(1, spare + 2), repeat=size) if sum(x) - size <= spare]
    )
    fixed, spectral = problem.terms[:, 0::2].T, problem.terms[:, 1::2].T
    start, inner, end = ((a + b / every).max(axis=1) for a, b in zip(fixed, spectral, strict=True))
    server = size * problem.server_s_per_device
    return float((start + server + (problem.local_epochs - 1) * (inner + server) + end).min())


@pytest.mark.slow
@pytest.mark.parametrize(("epochs", "ties"), FAMILIES)
def test_exact_is_the_best_of_all_shares(random_clusters, epochs, ties):
    """Five hundred clusters of up to four devices; the rules are never better."""
    for seed in range(500):
        size = 1 + seed % 4
        problem = random_clusters(seed, (size,), size + seed % 9, epochs, ties)
        least = least_seconds(problem)
        seconds, x = allocate_cluster(problem, range(size))
        assert seconds == pytest.approx(least, rel=1e-12, abs=1e-12)
        decision = problem.complete([range(size)])
        assert decision.subcarriers.tolist() == x.tolist()
        assert problem.violations(decision) == {}
        assert problem.evaluate(decision) == seconds
        assert problem.bound() <= seconds * (1 + 1e-12)
        for rule in ("greedy", "tie_safe"):
            other, shares = allocate_cluster(problem, range(size), rule)
            assert other >= least * (1 - 1e-12)
            assert shares.min() >= 1
            assert shares.sum() <= problem.subcarriers


def test_identical_devices_share_evenly(random_clusters):
    """As many subcarriers for each as there are for all."""
    one = random_clusters(5, (1,), 1, 3).data()
    for size in (2, 5, 8):
        for subcarriers in (size, 2 * size + 1, 40):
            data = {
                name: np.repeat(value, size) if isinstance(value, np.ndarray) else value
                for name, value in one.items()
            }
            data |= {"subcarriers": subcarriers, "cluster_sizes": np.array([size])}
            problem = type(random_clusters()).from_data(data, "round")
            for rule in ("exact", "tie_safe"):
                _, x = allocate_cluster(problem, range(size), rule)
                assert x.tolist() == [subcarriers // size] * size


def test_the_greedy_trap(five_identical, random_clusters):
    """Alg. 3 as printed gives everything to the first of CPSL's identical devices."""
    problem = type(random_clusters()).from_data(five_identical["data"], "round")
    seconds, x = allocate_cluster(problem, range(5), "greedy")
    assert x.tolist() == five_identical["expected"]["greedy_as_printed"]
    assert seconds / five_identical["expected"]["objective"] == pytest.approx(2.51, abs=0.01)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("epochs", "ties"), FAMILIES)
def test_compiled_loops_are_the_plain_ones(random_clusters, monkeypatch, rule, epochs, ties):
    """The same shares and seconds, to the last bit, without numba."""
    for seed in range(8):
        problem = random_clusters(seed, (5, 3), 20, epochs, ties)
        clusters = [[0, 3, 5, 6, 7], [1, 2, 4]]
        compiled = allocate_clusters(problem, clusters, rule)
        with monkeypatch.context() as patch:
            for name, loop in vars(loops).copy().items():
                if hasattr(loop, "py_func"):
                    patch.setattr(loops, name, loop.py_func)
            plain = allocate_clusters(problem, clusters, rule)
        assert np.array_equal(compiled.seconds, plain.seconds)
        assert np.array_equal(compiled.subcarriers, plain.subcarriers)


def test_a_batch_is_its_clusters(random_clusters):
    """Clusters of all sizes, overlapping, in one call or one by one."""
    problem = random_clusters(2, (12,), 25, 2)
    rng = np.random.default_rng(0)
    clusters = [rng.choice(12, rng.integers(1, 9), replace=False) for _ in range(300)]
    for rule in RULES:
        found = allocate_clusters(problem, clusters, rule)
        shares = np.split(found.subcarriers, np.cumsum([len(c) for c in clusters])[:-1])
        for cluster, seconds, x in zip(clusters, found.seconds, shares, strict=True):
            alone = allocate_cluster(problem, cluster, rule)
            assert seconds == alone[0]
            assert np.array_equal(x, alone[1])
    assert allocate_clusters(problem, []).seconds.shape == (0,)


def test_what_cannot_be_shared_is_refused(random_clusters):
    """Unknown rules, empty clusters, unknown devices, and too few subcarriers."""
    problem = random_clusters(2, (5,), 4)
    with pytest.raises(InfeasibleError, match="needs at least 5 subcarriers, and there are 4"):
        allocate_cluster(problem, range(5))
    with pytest.raises(InputError, match="rule: is 'fair', it must be one of greedy, tie_safe"):
        allocate_cluster(problem, range(3), "fair")
    with pytest.raises(InputError, match="a cluster has no device"):
        allocate_clusters(problem, [[0], []])
    with pytest.raises(InputError, match="device indices must be from 0 to 4"):
        allocate_cluster(problem, [0, 5])
