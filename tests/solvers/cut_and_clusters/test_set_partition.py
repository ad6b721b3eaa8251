"""The joint optimum of cut, clusters and subcarriers against going through all of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from splitopt import CutAndClusters, InputError, solve
from splitopt.bench.instances.families.cut_and_clusters import apart, cells, unstructured
from splitopt.problems.cut_and_clusters import CutAndClustersDecision
from splitopt.solvers.cut_and_clusters.set_partition import SetPartition, certified_bound


def draw(seed, sizes, cuts, subcarriers, epochs=1, own=False, refused=0.0):
    """Draw tables of seconds; every device may take some cut."""
    rng = np.random.default_rng(seed)
    shape = (cuts, sum(sizes))
    allowed = rng.random(shape) >= refused
    allowed[rng.integers(cuts, size=shape[1]), np.arange(shape[1])] = True
    times = rng.exponential(1.0, (7, *shape))
    names = tuple(f"cut{v}" for v in range(cuts))
    return CutAndClusters(
        names, *times, epochs, subcarriers, np.array(sizes), allowed, cut_per_cluster=own
    )


def partitions(devices, sizes):
    """Yield all ordered partitions into clusters of these sizes."""
    if not sizes:
        yield ()
        return
    for cluster in itertools.combinations(devices, sizes[0]):
        rest = [n for n in devices if n not in cluster]
        for others in partitions(rest, sizes[1:]):
            yield (cluster, *others)


def brute_force(problem):
    """Try every partition, every cut of every cluster and all numbers of subcarriers."""
    sizes = tuple(problem.cluster_sizes.tolist())
    least = np.inf
    numbers = list(itertools.product(range(1, problem.subcarriers + 1), repeat=problem.devices))
    for clusters in partitions(range(problem.devices), sizes):
        for cuts in itertools.product(range(len(problem.cuts)), repeat=len(sizes)):
            for x in numbers:
                decision = CutAndClustersDecision(clusters, np.array(x), np.array(cuts))
                if not problem.violations(decision):
                    least = min(least, problem.evaluate(decision))
    return least


@pytest.mark.slow
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_against_all_partitions_cuts_and_subcarriers(seed, own):
    """Nothing but the problem's own evaluation is used on the other side."""
    problem = draw(seed, (2, 2), 2 + seed % 2, 3, 1 + seed % 2, own, 0.3)
    wanted = brute_force(problem)
    for solver in ("enumerate", "set_partition"):
        found = solve(problem, solver)
        if np.isinf(wanted):
            assert found.outcome == "infeasible"
            continue
        assert found.outcome == "optimal"
        assert found.objective == pytest.approx(wanted, rel=1e-9)
        assert found.bound <= wanted * (1 + 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("refused", [0.0, 0.2, 0.6])
@pytest.mark.parametrize("sizes", [(2, 2, 2), (3, 2, 2), (4, 3, 1), (2, 2, 2, 2), (5, 5)])
def test_it_proves_what_enumeration_finds(sizes, refused, own):
    """Equal and unequal clusters, several epochs, refused cuts; infeasible where that is so."""
    for seed in range(3):
        epochs, spare = 1 + seed % 3, 2 * seed
        problem = draw(seed, sizes, 1 + seed, max(sizes) + spare, epochs, own, refused)
        wanted = solve(problem, "enumerate")
        found = solve(problem, "set_partition")
        assert found.outcome == wanted.outcome
        if wanted.outcome == "optimal":
            assert found.objective == pytest.approx(wanted.objective, rel=1e-9)
            assert found.bound <= wanted.objective * (1 + 1e-12)
            assert not problem.violations(found.decision)


def test_few_devices_are_proved():
    """One instance of each kind, in quick time."""
    for own in (False, True):
        problem = draw(3, (2, 2), 2, 4, 2, own)
        wanted, found = solve(problem, "enumerate"), solve(problem, "set_partition")
        assert (found.outcome, wanted.outcome) == ("optimal", "optimal")
        assert found.objective == pytest.approx(wanted.objective, rel=1e-9)


def test_own_cuts_are_at_least_as_good_as_a_common_one():
    """A cut for every cluster only adds plans; where one suits all it is chosen by all."""
    for seed in range(4):
        common = draw(seed, (2, 2), 3, 5)
        own = CutAndClusters(**{**common.data(), "cut_per_cluster": True})
        left, right = solve(common).objective, solve(own).objective
        assert right <= left * (1 + 1e-12)
    alike = {
        **common.data(),
        **{
            name: np.tile(getattr(common, name)[:1], (3, 1)) * np.array([[1.0], [2.0], [3.0]])
            for name in common.data()
            if name.endswith("_s")
        },
        "cut_per_cluster": True,
    }
    found = solve(CutAndClusters(**alike))
    assert set(found.decision.cuts.tolist()) == {0}


def test_devices_that_share_no_cut_are_kept_apart():
    """Where no common cut is left, the partition keeps the limits; where none can, it says so."""
    problem = apart(0, 6, size=3)
    found = solve(problem)
    assert found.outcome == "optimal"
    assert sorted(map(sorted, (c.tolist() for c in found.decision.clusters))) == [
        [0, 1, 2],
        [3, 4, 5],
    ]
    mixed = {**problem.data(), "allowed": np.array([[1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 1, 1]])}
    fields = {k: v[:2] if k.endswith("_s") else v for k, v in mixed.items()}
    refused = CutAndClusters(**{**fields, "cuts": ["a", "b"]})
    assert refused.infeasibility() is None
    for solver in ("enumerate", "set_partition"):
        result = solve(refused, solver)
        assert result.outcome == "infeasible"
        assert "no partition into clusters of these sizes" in result.message


@pytest.mark.slow
def test_certificates_hold():
    """The bounds of the prices, again by search and by listing, and for prices at random."""
    rng = np.random.default_rng(0)
    for seed in range(6):
        for own in (False, True):
            problem = draw(seed, (2, 2, 2), 3, 4, 1 + seed % 2, own, 0.2 if own else 0.0)
            wanted = solve(problem, "enumerate")
            if wanted.outcome != "optimal":
                continue
            prices = solve(problem, SetPartition()).details.get("prices", {})
            trials = [prices] if prices else []
            drawn = rng.normal(2, 1, problem.devices)
            trials.append(drawn if own else dict.fromkeys(problem.cuts, drawn))
            for trial in trials:
                searched = certified_bound(problem, trial)
                assert searched <= wanted.objective * (1 + 1e-12)
                assert searched == pytest.approx(certified_bound(problem, trial, "list"))
    with pytest.raises(InputError, match="are by cut, and clusters have their own"):
        certified_bound(problem, {})


@pytest.mark.slow
@pytest.mark.parametrize("own", [0, 1])
def test_thirty_devices_are_proved(own):
    """CPSL's size, at eleven cuts; the common cut against every cut by itself."""
    problem = cells(1, 30, own=own)
    result = solve(problem, seed=1)
    assert result.outcome == "optimal"
    again = solve(problem, seed=2)
    assert again.objective == pytest.approx(result.objective, rel=1e-9)
    if not own:
        alone = [solve(problem.at_cut(cut)).objective for cut in range(len(problem.cuts))]
        assert result.objective == pytest.approx(min(alone), rel=1e-9)
        assert len(result.details["solved_in_whole"]) < len(problem.cuts)


@pytest.mark.slow
def test_cuts_are_ruled_out_without_being_solved():
    """Only cuts that may hold the optimum are solved to the end, and the bound counts them all."""
    problem = unstructured(0, 20)
    result = solve(problem)
    alone = {name: solve(problem.at_cut(cut)).objective for cut, name in enumerate(problem.cuts)}
    assert result.objective == pytest.approx(min(alone.values()), rel=1e-9)
    best = min(alone, key=alone.__getitem__)
    assert best in result.details["solved_in_whole"]
    assert problem.cuts[int(result.decision.cuts[0])] == best


def test_a_run_without_time_has_a_plan_and_a_bound():
    """The first plan is kept, and what is proved so far holds."""
    for own in (False, True):
        problem = draw(5, (3, 3), 3, 6, own=own)
        result = solve(problem, "set_partition", time_limit_s=0)
        assert result.outcome in ("feasible", "optimal")
        assert result.bound <= solve(problem, "enumerate").objective * (1 + 1e-12)
