"""Plans of `CutAndClusters`: who asks for them, what they promise, and what runs them."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import InputError, Scenario, plan, simulate
from splitopt.planning.planner import default_problem, open_plan
from splitopt.plans import Plan
from splitopt.report.problems.cut_and_clusters import content
from splitopt.training.program import program_of

STRICT = 0.9


def cell(**clusters):
    """Return the shipped cell with other words about its clusters."""
    document = Scenario.load("digits-clusters").to_dict()
    document["clusters"] = {"size": 3, **clusters}
    return document


@pytest.fixture(scope="module")
def common():
    """Return the plan of one cut for all."""
    return plan(cell())


@pytest.fixture(scope="module")
def own():
    """Return a plan whose clusters cut at different layers: two devices are fast and strict."""
    document = cell(cut_per_cluster=True)
    document["devices"][1] |= {"compute": "600 MFLOP/s", "leakage_limit": STRICT}
    return plan(document)


def test_an_open_cut_asks_for_the_problem():
    """A named one asks for clusters alone, and distributions for theirs."""
    assert default_problem(Scenario.from_dict(cell())) == "cut_and_clusters"
    assert default_problem(Scenario.from_dict(cell(cut="pool1"))) == "cluster_and_spectrum"
    varying = {
        **cell(),
        "distributions": {"samples": 2, "seed": 0, "snr": {"kind": "normal", "std_db": 1}},
    }
    assert default_problem(Scenario.from_dict(varying)) == "cut_under_uncertainty"


def test_the_common_cut_is_the_best_of_all_cuts(common):
    """Against a plan for each cut that the scenario could have named."""
    assert common.result.outcome == "optimal"
    alone = {
        name: plan(cell(cut=name)).prediction["round_s"]
        for name in ("conv1", "pool1", "conv2", "pool2", "fc1")
    }
    best = min(alone, key=alone.__getitem__)
    assert common.prediction["cuts"] == [best, best]
    assert common.prediction["round_s"] == pytest.approx(alone[best], rel=1e-9)
    others = {row["cut"]: row["same_clusters_s"] for row in common.prediction["other_cuts"]}
    assert set(others) == set(alone)
    assert all(others[name] >= alone[name] * (1 - 1e-9) for name in alone)


def test_plans_come_back_and_are_replayed(common, own, tmp_path):
    """From a file; and the round event by event takes what was promised."""
    for made in (common, own):
        made.save(tmp_path / "plan.json")
        opened = open_plan(Plan.load(tmp_path / "plan.json"))
        assert opened.prediction.to_dict() == made.prediction
        replayed = simulate(made)
        assert replayed.timeline.makespan_s == pytest.approx(made.prediction["round_s"], rel=1e-9)


def test_the_limits_of_devices_bind_their_own_clusters(own):
    """No cluster with a strict device cuts where it leaks more; others may."""
    opened = open_plan(own)
    leakage = dict(zip(opened.profile.layers, opened.profile.leakage.tolist(), strict=True))
    strict = {d.name for d in opened.scenario.fleet() if d.leakage_limit is not None}
    for cut, cluster in zip(own.prediction["cuts"], own.prediction["clusters"], strict=True):
        if strict & set(cluster["devices"]):
            assert leakage[cut] <= STRICT
    assert own.prediction["leakage"] == max(leakage[cut] for cut in own.prediction["cuts"])


def test_what_trains_and_what_does_not(common, own):
    """One cut is CPSL's scheme; with several there is no one part of the server."""
    program = program_of(common)
    assert program.scheme == "clustered"
    assert {client.cuts for client in program.clients} == {(common.prediction["cuts"][0],)}
    assert len(set(own.prediction["cuts"])) > 1
    with pytest.raises(InputError, match=r"clusters 1 and 2 of the plan cut at .* and in CPSL"):
        program_of(own)


def test_the_report_shows_the_cuts(common, own):
    """As a fact, by cluster, and beside the other cuts."""
    for made in (common, own):
        found = content(made)
        words = dict(found.facts)
        assert words.get("Cut", words.get("Cuts")) == ", ".join(
            dict.fromkeys(made.prediction["cuts"])
        )
        assert [row["cut"] for row in found.tables[0].rows] == made.prediction["cuts"]


def test_infeasible_limits_are_named():
    """The device whose limit leaves nothing, or the limit that all share."""
    document = cell(cut_per_cluster=True)
    document["devices"][1]["leakage_limit"] = 0.01
    made = plan(document)
    assert made.result.outcome == "infeasible"
    assert "the leakage limit of far-1 leaves it no cut" in made.result["message"]
    del document["clusters"]["cut_per_cluster"]
    assert "meets the leakage limit 0.01 of far-1" in plan(document).result["message"]


def test_unequal_mini_batches_are_counted_where_they_are():
    """The server's seconds are those of each cluster's own samples."""
    document = cell(cut_per_cluster=True)
    document["devices"][0]["batch_size"] = 32
    opened = open_plan(plan(document))
    server = opened.problem.server_seconds(opened.decision)
    per_sample = {
        cut: opened.problem.server_s[cut, 0] / 32 for cut in range(len(opened.problem.cuts))
    }
    batch = np.array([d.batch_size for d in opened.scenario.fleet()])
    wanted = [
        per_sample[cut] * batch[cluster].sum()
        for cut, cluster in zip(
            opened.decision.cuts.tolist(), opened.decision.clusters, strict=True
        )
    ]
    np.testing.assert_allclose(server, wanted, rtol=1e-12)
