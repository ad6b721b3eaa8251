"""What a plan of each problem asks of whoever trains it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt
from splitopt import InfeasibleError, InputError, Scenario
from splitopt.training.program import program_of

pytestmark = pytest.mark.train


def test_a_cut_per_device(plan_of):
    """SplitFedV1 with the cuts of the decision; the last cut leaves everything on the device."""
    plan = plan_of("digits-splitfed")
    program = program_of(plan)
    layers = plan.profile["layers"]
    for client, cut in zip(program.clients, plan.decision["cut"], strict=True):
        assert client.cuts == (() if cut == len(layers) else (layers[cut - 1],))
        assert (client.samples, client.batch_size) == (320, 16)
    assert (program.scheme, program.local_epochs, program.local_steps) == ("splitfed_v1", 1, None)
    assert program.rounds == 20
    assert program.groups == ()
    assert program.replay.simulated_s == pytest.approx(plan.prediction["round_s"])
    assert program.replay_of(7) is program.replay


def test_clusters(plan_of):
    """CPSL with the clusters in their order; local epochs of the paper are mini-batches."""
    plan = plan_of("digits-clusters")
    program = program_of(plan)
    assert (program.scheme, program.local_epochs, program.local_steps) == ("clustered", 1, 10)
    assert {client.cuts for client in program.clients} == {("pool1",)}
    assert [list(group) for group in program.groups_of(5)] == plan.decision["clusters"]


def test_a_round_that_varies_has_its_own_clusters_and_time(plan_of):
    """Each sampled round in turn, with the clusters and seconds of its answer, then again."""
    plan = plan_of("digits-varying")
    program = program_of(plan)
    assert program.rounds_known == 3
    answers = plan.decision["recourse"]
    for number in range(5):
        clusters = answers[number % 3]["clusters"]
        assert [list(group) for group in program.groups_of(number)] == clusters
    seconds = [program.replay_of(number).simulated_s for number in range(4)]
    assert np.mean(seconds[:3]) == pytest.approx(plan.prediction["round_s"])
    assert len(set(seconds)) == 3
    assert seconds[3] == seconds[0]


def test_a_pipeline(plan_of):
    """The owners' first and last layers, and the nodes' runs of layers in between."""
    plan = plan_of("digits-pipeline")
    program = program_of(plan)
    ends = [node["last_layer"] for node in plan.prediction["nodes"]]
    assert program.scheme == "multihop"
    assert program.clients[0].cuts == ("conv1", *ends)
    assert ends[-1] == "fc1"


def test_other_schemes_on_the_same_clients(plan_of):
    """Schemes that the cuts serve can be compared; others are refused with those that can."""
    pipeline = program_of(plan_of("digits-pipeline"))
    assert pipeline.trained_by("u_shaped").clients[0].cuts == ("conv1", "fc1")
    assert pipeline.trained_by("federated").clients[0].cuts == ()
    clusters = program_of(plan_of("digits-clusters"))
    assert clusters.trained_by("vanilla").clients == clusters.clients
    assert "splitfed_v2" in clusters.schemes
    with pytest.raises(InputError, match=r"'clustered' cannot train .* multihop, u_shaped"):
        pipeline.trained_by("clustered")
    with pytest.raises(InputError, match="choose one of splitfed_v1, centralized, federated"):
        program_of(plan_of("digits-splitfed")).trained_by("vanilla")


def test_the_digest_names_the_plan(plan_of):
    """Two plans differ, and one plan read twice does not."""
    plan = plan_of("digits-splitfed")
    again = splitopt.Plan.from_dict(plan.to_dict())
    assert program_of(again).plan_digest == program_of(plan).plan_digest
    other = replace(plan, scenario={**plan.scenario, "name": "other"})
    assert program_of(other).plan_digest != program_of(plan).plan_digest


def test_plans_that_nobody_can_train():
    """No decision, nothing split, or no layer for the owners behind the last cut."""
    document = Scenario.load("digits-pipeline").to_dict()
    document["pipeline"]["last_cut"] = 6
    with pytest.raises(InputError, match="last_cut 5"):
        program_of(splitopt.plan(Scenario.from_dict(document)))
    document["nodes"][0]["memory"] = document["nodes"][1]["memory"] = "1 B"
    plan = splitopt.plan(Scenario.from_dict(document))
    with pytest.raises(InfeasibleError, match="nothing to train"):
        program_of(plan)
    document = Scenario.load("digits-clusters").to_dict()
    document["clusters"]["cut"] = 6
    plan = splitopt.plan(Scenario.from_dict(document), solver="similar_compute")
    with pytest.raises(InputError, match="all 6 layers"):
        program_of(plan)
