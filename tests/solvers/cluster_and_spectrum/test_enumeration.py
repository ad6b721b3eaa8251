"""The enumeration of partitions: complete, without repetition, and it says its price."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from splitopt import CapabilityError, solve
from splitopt.problems.cluster_and_spectrum.subcarriers import allocate_cluster
from splitopt.solvers.cluster_and_spectrum.enumeration import partition_count, partitions


@pytest.mark.parametrize("sizes", [(1,), (3,), (2, 2), (3, 1, 2), (1, 1, 1, 1), (2, 2, 3), (3, 3)])
def test_partitions_are_those_of_all_orders(sizes):
    """Cut every order of the devices into clusters: the same partitions come out."""
    devices = tuple(range(sum(sizes)))
    found = [frozenset(map(frozenset, p)) for p in partitions(devices, Counter(sizes))]
    wanted = set()
    for order in itertools.permutations(devices):
        ends = list(itertools.accumulate(sizes))
        wanted.add(
            frozenset(
                frozenset(order[end - size : end]) for size, end in zip(sizes, ends, strict=True)
            )
        )
    assert len(found) == len(set(found)) == partition_count(list(sizes))
    assert set(found) == wanted


@pytest.mark.parametrize("epochs", [1, 2])
def test_the_best_partition_is_found(random_clusters, epochs):
    """Against a plain loop over all partitions of seven devices."""
    problem = random_clusters(4, (3, 2, 2), 7, epochs)
    best = min(
        sum(allocate_cluster(problem, cluster)[0] for cluster in clusters)
        for clusters in partitions(tuple(range(7)), Counter((3, 2, 2)))
    )
    result = solve(problem, "enumerate")
    assert result.outcome == "optimal"
    assert result.iterations == partition_count([3, 2, 2]) == 105
    assert result.objective == pytest.approx(best, rel=1e-12)


def test_large_problems_are_refused_with_their_price(random_clusters):
    """Thirty devices in clusters of five have nearly 10^18 partitions."""
    with pytest.raises(CapabilityError, match=r"try about 10\^17 partitions, more than its limit"):
        solve(random_clusters(0, (5,) * 6, 30), "enumerate")
    with pytest.raises(CapabilityError, match=r"try about 10\^2\d{4} partitions"):
        solve(random_clusters(0, (5,) * 2000, 30), "enumerate")
    with pytest.raises(CapabilityError, match="try 2,627,625 partitions"):
        solve(random_clusters(0, (4, 4, 4, 3), 30), "enumerate", max_partitions=2_627_624)


def test_no_time_still_gives_a_plan(random_clusters):
    """A time limit of 0 ends after the first partition."""
    result = solve(random_clusters(0, (3, 3), 9), "enumerate", time_limit_s=0)
    assert (result.outcome, result.stop_reason) == ("feasible", "time")
