"""What pads and rates are made of, against the plan's own arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import plan
from splitopt.errors import InputError
from splitopt.planning.planner import open_plan
from splitopt.scenario import Scenario
from splitopt.training.program import program_of
from splitopt.training.wire.star.timing import (
    BACKWARD,
    FORWARD,
    GRADIENT,
    MODEL_UP,
    SERVER,
    UPLOAD,
    Timing,
)


def timing_of(made):
    """Read a plan's timing."""
    return Timing(program_of(made))


def shipped(name, **changes):
    """Return a shipped scenario with some fields changed."""
    return Scenario.load(name).model_copy(update=changes)


def test_rates_of_shares_are_the_shares_of_the_links():
    """Planned bytes over planned seconds: what the device has of the link, in byte/s."""
    made = plan(shipped("digits-splitfed"), solver="equal_share")
    opened, timing = open_plan(made), timing_of(made)
    for n, device in enumerate(opened.scenario.fleet()):
        pieces = timing.round(3).pieces[n]
        decision, row = opened.decision, int(opened.decision.cut[n]) - 1
        for phase, direction, share in (
            (timing.model_down, "downlink", decision.download_share),
            (GRADIENT, "downlink", decision.download_share),
            (UPLOAD, "uplink", decision.upload_share),
            (MODEL_UP, "uplink", decision.upload_share),
        ):
            rate = opened.scenario.link(device, direction).rate
            if pieces[phase].payload_bytes:
                assert pieces[phase].rate_bytes_per_s == pytest.approx(share[n] * rate / 8)
        work = opened.profile.device_forward_flop[row] / device.compute
        assert pieces[FORWARD].seconds_for(16) == pytest.approx(16 * work)
        assert (
            pieces[UPLOAD].payload_bytes
            == pieces[UPLOAD].samples * opened.profile.smashed_bytes[row]
        )


@pytest.mark.parametrize("epochs", [1, 400_000])
def test_batches_that_the_simulator_merges_have_the_same_seconds(epochs):
    """However fine the predicted timeline is."""
    scenario = shipped("digits-splitfed")
    more = scenario.training.model_copy(update={"epochs": epochs})
    made = plan(scenario.model_copy(update={"training": more}), solver="equal_share")
    piece = timing_of(made).round(0).pieces[0][FORWARD]
    profile, speed = open_plan(made).profile, scenario.fleet()[0].compute
    row = int(made.decision["cut"][0]) - 1
    assert piece.seconds_for(1) == pytest.approx(profile.device_forward_flop[row] / speed)


def test_a_cluster_has_its_subcarriers_and_the_server_for_all_its_members():
    """CPSL Eq. 15-23: rates of the device's own subcarriers, the server's work for everybody."""
    made = plan(shipped("digits-clusters"), solver="similar_compute")
    opened, timing = open_plan(made), timing_of(made)
    problem, decision = opened.problem, opened.decision
    for cluster in decision.clusters:
        for n in map(int, cluster):
            pieces, own = timing.round(0).pieces[n], decision.subcarriers[n]
            wanted = {
                timing.model_down: problem.broadcast_s[n],
                FORWARD: problem.forward_s[n],
                UPLOAD: problem.upload_smashed_s[n] / own,
                SERVER: len(cluster) * problem.server_s_per_device,
                GRADIENT: problem.download_gradient_s[n] / own,
                BACKWARD: problem.backward_s[n],
                MODEL_UP: problem.upload_model_s[n] / own,
            }
            samples = {SERVER: 16 * len(cluster), timing.model_down: 1, MODEL_UP: 1}
            for phase, seconds in wanted.items():
                found = pieces[phase].seconds_for(samples.get(phase, 16))
                assert found == pytest.approx(seconds), phase


def test_sampled_rounds_have_their_own_clusters():
    """A plan under uncertainty has one round for each sample, and then begins again."""
    document = Scenario.load("digits-clusters").to_dict()
    document["distributions"] = {"snr": {"kind": "normal", "std_db": 2}, "samples": 3}
    made = plan(Scenario.from_dict(document), solver="saa", time_limit_s=2.0)
    opened, timing = open_plan(made), timing_of(made)
    seconds = opened.problem.latencies(opened.decision)
    assert len(set(seconds)) == len(seconds)
    for number in range(2 * len(seconds)):
        found = timing.round(number).round_s
        assert found == pytest.approx(seconds[number % len(seconds)])


def test_names_are_those_of_the_simulator():
    """Resources and phases of every predicted task are found again."""
    for name, solver in (
        ("digits-splitfed", "equal_share"),
        ("digits-clusters", "similar_compute"),
    ):
        made = plan(shipped(name), solver=solver)
        timing = timing_of(made)
        predicted = timing.round(0).predicted
        assert {task.phase for task in predicted} == set(predicted.phases)
        for task in predicted:
            client = predicted.owners.index(task.owner)
            assert timing.resource(task.phase, client).name == task.resource
            kinds = {item.name: item.kind for item in predicted.resources}
            assert timing.resource(task.phase, client).kind == kinds[task.resource]


def test_links_of_their_own_are_shared_by_nobody():
    """Where devices share no link, the server is all that they take turns at."""
    scenario = shipped("digits-splitfed")
    links = scenario.links.model_copy(update={"shared": False})
    own = plan(scenario.model_copy(update={"links": links}), solver="equal_share")
    common = timing_of(plan(scenario, solver="equal_share"))
    assert common.shared(UPLOAD) == common.shared(MODEL_UP) == "uplink"
    assert common.shared(GRADIENT) == common.shared(common.model_down) == "downlink"
    timing = timing_of(own)
    phases = (FORWARD, UPLOAD, GRADIENT, BACKWARD, MODEL_UP, timing.model_down)
    assert {timing.shared(phase) for phase in phases} == {None}
    assert timing.shared(SERVER) == "server"


def test_a_pipeline_is_refused():
    """It has no server."""
    made = plan(shipped("digits-pipeline"))
    with pytest.raises(InputError, match="a server with devices"):
        timing_of(made)
    assert np.isfinite(made.result["objective"])
