"""The round of `CutAndClusters` against the definition, written out anew, and what is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from splitopt import CutAndClusters, InfeasibleError, InputError, Scenario, load_problem
from splitopt.problems.cluster_and_spectrum.data import TIMES
from splitopt.problems.cut_and_clusters import CutAndClustersDecision


def draw(seed, sizes=(2, 2, 1), cuts=3, subcarriers=5, epochs=2, own=False, refused=0.3):
    """Draw tables of seconds; every device may take the last cut."""
    rng = np.random.default_rng(seed)
    shape = (cuts, sum(sizes))
    allowed = rng.random(shape) >= refused
    allowed[-1] = True
    times = rng.exponential(1.0, (7, *shape))
    names = tuple(f"cut{v}" for v in range(cuts))
    return CutAndClusters(
        names, *times, epochs, subcarriers, np.array(sizes), allowed, cut_per_cluster=own
    )


def seconds_of(problem, cluster, x, cut):
    """Compute the seconds of a cluster by CPSL's Eq. 19, 22, 24 and 25, in plain Python."""
    t = {name: getattr(problem, name)[cut] for name in (*TIMES, "server_s")}
    start = max(
        t["broadcast_s"][n] + t["forward_s"][n] + t["upload_smashed_s"][n] / x[n] for n in cluster
    )
    inner = max(
        t["backward_s"][n]
        + t["forward_s"][n]
        + (t["download_gradient_s"][n] + t["upload_smashed_s"][n]) / x[n]
        for n in cluster
    )
    end = max(
        t["backward_s"][n] + (t["download_gradient_s"][n] + t["upload_model_s"][n]) / x[n]
        for n in cluster
    )
    server = sum(t["server_s"][n] for n in cluster)
    epochs = problem.local_epochs
    return start + (epochs - 1) * inner + end + epochs * server


def test_a_round_is_that_of_the_equations():
    """Any clusters, subcarriers and cuts: the value, and the parts by cluster."""
    rng = np.random.default_rng(0)
    for seed in range(20):
        problem = draw(seed, epochs=1 + seed % 3, own=True, refused=0.0)
        order = rng.permutation(5)
        clusters = (order[:2], order[2:4], order[4:])
        x, cuts = rng.integers(1, 3, 5), rng.integers(0, 3, 3)
        decision = CutAndClustersDecision(clusters, x, cuts)
        parts = [seconds_of(problem, c, x, v) for c, v in zip(clusters, cuts.tolist(), strict=True)]
        np.testing.assert_allclose(problem.cluster_seconds(decision), parts, rtol=1e-12)
        assert problem.evaluate(decision) == pytest.approx(sum(parts), rel=1e-12)
        assert problem.violations(decision) == {}


@pytest.mark.parametrize("own", [False, True])
def test_the_best_cuts_of_given_clusters(own):
    """`complete` finds what all cuts and all numbers of subcarriers have to offer."""
    for seed in range(6):
        problem = draw(seed, (2, 1), 3, 4, 1 + seed % 2, own)
        clusters = ([0, 2], [1])
        found = problem.evaluate(problem.complete(clusters))
        least = np.inf
        for cuts in itertools.product(range(3), repeat=2):
            for x in itertools.product(range(1, 5), repeat=3):
                decision = CutAndClustersDecision(clusters, np.array(x), np.array(cuts))
                if not problem.violations(decision):
                    least = min(least, problem.evaluate(decision))
        assert found == pytest.approx(least, rel=1e-12)
        assert problem.bound() <= least


def test_violations_are_named():
    """A cut that a device refuses, cuts that differ, one outside, and too few of them."""
    problem = draw(1, (2, 2), 2, 4, refused=0.0)
    allowed = np.array(problem.mask)
    allowed[0, 3] = False
    strict = CutAndClusters(**{**problem.data(), "allowed": allowed})
    clusters, x = ([0, 1], [2, 3]), np.full(4, 2)

    def broken(cuts):
        return strict.violations(CutAndClustersDecision(clusters, x, np.array(cuts)))

    assert broken([1, 1]) == {}
    assert broken([0, 0]) == {"cut_not_allowed": 1.0}
    assert broken([0, 1]) == {"cuts_that_differ": 1.0}
    assert broken([2, 2]) == {"cut_outside": np.inf}
    assert broken([1]) == {"cuts_of_clusters": 1.0}
    with pytest.raises(InputError, match=r"decision\.cuts: must hold a whole number from 0 to 1"):
        strict.evaluate(CutAndClustersDecision(clusters, x, np.array([2, 2])))


def test_files_come_back_the_same(tmp_path):
    """JSON and npz, with and without refused cuts; decisions too."""
    for seed, refused in ((0, 0.0), (1, 0.5)):
        problem = draw(seed, own=bool(seed), refused=refused)
        for name in ("one.json", "one.npz"):
            problem.save(tmp_path / name)
            assert load_problem(tmp_path / name) == problem
        decision = problem.complete([[0, 1], [2, 3], [4]])
        again = problem.decode(decision.to_dict())
        assert problem.evaluate(again) == problem.evaluate(decision)
        assert again.to_dict() == decision.to_dict()


def test_limits_that_leave_nothing_are_named():
    """No subcarriers for a cluster, a device without a cut, and no cut that all may take."""
    assert "needs at least 2 subcarriers" in draw(0, subcarriers=1).infeasibility()
    problem = draw(0, (2, 2), 2, refused=0.0)
    fields = problem.data()
    none = np.ones((2, 4), dtype=bool)
    none[:, 2] = False
    assert (
        "device 2 may take none of the 2 cuts"
        in CutAndClusters(**fields, allowed=none).infeasibility()
    )
    apart = np.array([[1, 1, 0, 0], [0, 0, 1, 1]])
    split = CutAndClusters(**fields, allowed=apart)
    assert "no cut is one that all devices may take" in split.infeasibility()
    assert split.bound() == np.inf
    own = CutAndClusters(**fields, allowed=apart, cut_per_cluster=True)
    assert own.infeasibility() is None
    with pytest.raises(InfeasibleError, match="the devices of cluster 0 share no cut"):
        own.complete([[0, 2], [1, 3]])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cuts": ["a", "a", "b"]}, r"cuts\[1\]: 'a' stands twice"),
        ({"cuts": ["a"]}, "broadcast_s"),
        ({"server_s": np.ones((3, 4))}, "server_s"),
        ({"forward_s": -np.ones((3, 5))}, "forward_s"),
        ({"allowed": np.ones((2, 5))}, "allowed"),
        ({"cut_per_cluster": "yes"}, "cut_per_cluster: must be true or false"),
        ({"cluster_sizes": [2, 2]}, "cluster_sizes: add up to 4"),
        ({"local_epochs": 0}, "local_epochs"),
    ],
)
def test_wrong_data_are_named(change, words):
    """One sentence each."""
    with pytest.raises(InputError, match=words):
        CutAndClusters(**{**draw(0).data(), **change})


def cell(**clusters):
    """Return the shipped cell with other words about its clusters."""
    document = Scenario.load("digits-clusters").to_dict()
    document["clusters"] = {"size": 3, **clusters}
    return document


def test_a_scenario_gives_the_rounds_of_its_cuts():
    """Every cut but the last, each as the problem of that cut has it; the named one alone."""
    from splitopt import ClusterAndSpectrum

    problem = CutAndClusters.from_scenario(cell())
    assert problem.cuts == ("conv1", "pool1", "conv2", "pool2", "fc1")
    clusters = [[0, 1, 5], [2, 3, 4]]
    for place, name in enumerate(problem.cuts):
        alone = ClusterAndSpectrum.from_scenario(cell(cut=name))
        value = alone.evaluate(alone.complete(clusters))
        both = problem.evaluate(problem.complete(clusters, [place, place]))
        assert both == pytest.approx(value, rel=1e-12)
    assert CutAndClusters.from_scenario(cell(cut="pool1")).cuts == ("pool1",)


def test_the_limits_of_each_device_count_where_cuts_differ():
    """A strict device narrows the cuts of its own cluster only; together they may leave none."""
    document = cell(cut_per_cluster=True)
    leakage = Scenario.from_dict(document).load_model().leakage
    deep = float(np.sort(leakage[:5])[1])
    document["devices"][0]["leakage_limit"] = deep
    problem = CutAndClusters.from_scenario(document)
    assert problem.mask[:, 3:].all()
    assert (problem.mask[:, 0] == (leakage[: len(problem.cuts)] <= deep)).all()
    document["devices"][0]["leakage_limit"] = 0.0
    with pytest.raises(InfeasibleError, match="the leakage limit of near-1 leaves it no cut"):
        CutAndClusters.from_scenario(document)
    del document["devices"][0]["leakage_limit"]
    document["devices"][1]["memory"] = "1 kB"
    with pytest.raises(InfeasibleError, match="the memory of far-1 leaves it no cut"):
        CutAndClusters.from_scenario(document)
    with pytest.raises(InputError, match="cut: is 'pool1' for all clusters"):
        Scenario.from_dict(cell(cut="pool1", cut_per_cluster=True))
