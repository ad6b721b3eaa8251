"""From a scenario with compute nodes to the arrays of the problem, every number by hand."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import InputError, PipelinePartition, Scenario
from splitopt.problems.pipeline_partition.owners import checked_owners
from splitopt.problems.pipeline_partition.tables import (
    Cuts,
    owner_memory,
    owner_transfers,
    stated_cuts,
    tables_from_scenario,
)
from splitopt.profiles import MachineTimes, ModelProfile, Provenance

BATCH = 10


@pytest.fixture
def profile():
    """Return a model of five layers; the third was not measured on ``board``."""

    def cumulative(*values):
        return np.cumsum(np.array(values, dtype=float))

    forward, backward = cumulative(1e6, 2e6, 3e6, 4e6, 5e6), cumulative(2e6, 4e6, 6e6, 8e6, 10e6)
    ones = np.ones(5)
    measured = np.array([True, True, False, True, True])
    crossing = np.array([800.0, 400.0, 200.0, 100.0, 0.0])
    return ModelProfile(
        name="five",
        layers=("a", "b", "c", "d", "e"),
        device_forward_flop=forward,
        device_backward_flop=backward,
        server_forward_flop=forward[-1] - forward,
        server_backward_flop=backward[-1] - backward,
        smashed_bytes=crossing,
        gradient_bytes=crossing / 2,
        device_model_bytes=cumulative(10, 20, 30, 40, 50),
        layer_output_bytes=np.array([800.0, 400.0, 200.0, 100.0, 4.0]),
        layer_saved_bytes=np.array([900.0, 800.0, 400.0, 200.0, 100.0]),
        work_unit="FLOP",
        provenance=Provenance(kind="user", source="made up for a test"),
        machines={
            "vm": MachineTimes(0.1 * ones, 0.2 * ones, 0.05 * ones, measured | True),
            "board": MachineTimes(ones * measured, ones * measured, 0 * ones, measured),
        },
    )


@pytest.fixture
def document():
    """Return a scenario with two kinds of nodes."""
    return {
        "model": {"profile": "vgg19-cifar"},
        "devices": [
            {"name": "pi", "count": 2, "machine": "board", "samples": 25, "batch_size": BATCH},
            {
                "name": "phone",
                "compute": 1e6,
                "samples": 30,
                "batch_size": BATCH,
                "uplink": {"rate": 16_000.0},
            },
        ],
        "links": {"downlink": {"rate": 32_000.0}, "uplink": {"rate": 8_000.0}},
        "nodes": [
            {"name": "vm", "count": 2, "machine": "vm", "memory": 1e6},
            {"name": "slow", "machine": "vm", "slowdown": 2, "rate": 40_000.0},
            {"name": "fast", "compute": 1e9},
        ],
        "pipeline": {"first_cut": 1, "last_cut": 4},
        "training": {"epochs": 2},
    }


def changed(document, **changes):
    return Scenario.from_si({**document, **changes})


def with_links(document, **links):
    return changed(document, links={**document["links"], "nodes": links})


def test_seconds_bytes_and_memory(document, profile):
    """Layers b, c and d are hosted, for batches of ten samples and three owners."""
    tables = tables_from_scenario(Scenario.from_si(document), profile)
    np.testing.assert_allclose(tables["forward_s"][:3], [[1.0] * 3, [1.0] * 3, [2.0] * 3])
    np.testing.assert_allclose(tables["backward_s"][:3], [[2.5] * 3, [2.5] * 3, [5.0] * 3])
    np.testing.assert_allclose(tables["forward_s"][3], [0.02, 0.03, 0.04])
    np.testing.assert_allclose(tables["backward_s"][3], [0.04, 0.06, 0.08])
    np.testing.assert_allclose(tables["cut_up_bytes"], [8000, 4000, 2000, 1000])
    np.testing.assert_allclose(tables["cut_down_bytes"], [4000, 2000, 1000, 500])
    memory = [3 * 20 + 8000, 3 * 30 + 4000, 3 * 40 + 2000]
    np.testing.assert_allclose(tables["layer_memory_bytes"], memory)
    assert tables["owners"] == 3
    np.testing.assert_allclose(tables["node_memory_bytes"], [1e6, 1e6] + [3 * sum(memory)] * 2)
    problem = PipelinePartition.from_scenario(Scenario.from_si(document), profile)
    assert (problem.objective, problem.nodes, problem.layers) == ("round", 4, 3)
    assert problem.batches == 2 * (3 + 3 + 3)


def test_what_owners_add_to_a_round(document, profile):
    """Layers a and e on a board that takes a second each way, and on a phone of 1 MFLOP/s."""
    document["links"] |= {"shared": False, "nodes": {"model": "uniform", "rate": 8e6, "latency": 2}}
    groups = PipelinePartition.from_scenario(Scenario.from_si(document), profile).owner_groups
    assert groups.count.tolist() == [2, 1]
    assert groups.batches.tolist() == [6, 6]
    parts = groups.parts
    np.testing.assert_allclose(parts.first_forward_s, [10, 10])
    np.testing.assert_allclose(parts.last_s, [20, 150])
    np.testing.assert_allclose(parts.first_backward_s, [10, 20])
    np.testing.assert_allclose(parts.to_first_s, [8.0, 4.0])
    np.testing.assert_allclose(parts.from_last_s, [0.25, 0.25])
    np.testing.assert_allclose(parts.to_last_s, [0.5, 0.25])
    np.testing.assert_allclose(parts.from_first_s, [1.0, 1.0])
    assert parts.latency_s == 2.0
    # 10 bytes of layer a and 50 of layer e, at 8 and 16 kbit/s up and 32 kbit/s down
    np.testing.assert_allclose(groups.upload_s, [0.06, 0.03])
    np.testing.assert_allclose(groups.download_s, [0.015, 0.015])
    assert groups.channel_s == {}
    assert groups.aggregation_s == pytest.approx(0.05 + 3 * 0.015 + 2 * 2.0)


def test_shared_channels_are_busy_with_every_batch(document, profile):
    """Two boards and a phone, six batches each: the mean of what a batch moves each way."""
    groups = PipelinePartition.from_scenario(Scenario.from_si(document), profile).owner_groups
    assert groups.channel_s["uplink"] == pytest.approx((2 * 8.5 + 4.25) / 3)
    assert groups.channel_s["downlink"] == pytest.approx(1.25)
    # without links between nodes nothing is delayed; one upload after the other
    assert groups.aggregation_s == pytest.approx(2 * 0.06 + 0.03 + 3 * 0.015)


@pytest.mark.parametrize(
    ("formula", "factor", "tensors"),
    [
        ("outputs", 1, [400, 200, 100]),
        ("adam", 4, [800, 400, 200]),
        ("gradients", 2, [800, 400, 200]),
    ],
)
def test_the_memory_formula_is_the_scenarios(document, profile, formula, factor, tensors):
    """Parameters times their copies, and the tensors of a batch."""
    scenario = changed(document, pipeline={**document["pipeline"], "memory": formula})
    found = tables_from_scenario(scenario, profile)["layer_memory_bytes"]
    expected = factor * np.array([20, 30, 40]) + BATCH * np.array(tensors)
    np.testing.assert_allclose(found, expected)


def test_owner_bandwidth_gives_the_mean_transfer(document, profile):
    """The owners' four transfers take on average what the problem's one number says."""
    scenario = Scenario.from_si(document)
    sent, received = owner_transfers(scenario, profile, Cuts(1, 4))
    # activations 8,000 B at the first cut and gradients 500 B at the last go up
    np.testing.assert_allclose(sent, [[8.0, 0.5], [4.0, 0.25]])
    np.testing.assert_allclose(received, [[1.0, 0.25], [1.0, 0.25]])
    problem = PipelinePartition.from_scenario(scenario, profile)
    mean = (2 * (8.5 + 1.25) + (4.25 + 1.25)) / 3
    assert problem.owner_transfers_s == pytest.approx(mean)


def test_links_in_byte_per_second(document, profile):
    """Each model gets its numbers in the shape that the problem wants."""
    uniform = with_links(document, model="uniform", rate=8e6, latency=0.5, duplex="half")
    links = tables_from_scenario(uniform, profile)["links"]
    assert links["bandwidth_bytes_per_s"] == 1e6
    assert (links["latency_s"], links["duplex"]) == (0.5, "half")
    nic = with_links(document, model="nic", rate=8e6)
    links = tables_from_scenario(nic, profile)["links"]
    np.testing.assert_allclose(links["bandwidth_bytes_per_s"], [1e6, 1e6, 5e3, 1e6])
    rates = [[8.0, 16.0, 24.0], [32.0, 40.0, None], [48.0, 56.0, 64.0]]
    pairwise = with_links(document, model="pairwise", rates=rates)
    problem = PipelinePartition.from_scenario(pairwise, profile)
    expected = [[1, 1, 2, 3], [1, 1, 2, 3], [4, 4, 5, 0], [6, 6, 7, 8]]
    np.testing.assert_allclose(problem.links.bandwidth_bytes_per_s, expected)


def test_unmeasured_layers_count_only_where_they_are_needed(document, profile):
    """Owners keep a and e, which were measured on the board; a node of its kind lacks c."""
    assert tables_from_scenario(Scenario.from_si(document), profile)
    nodes = [{"name": "board", "machine": "board"}]
    with pytest.raises(InputError, match=r"'board' was not measured in row 3 \(c\); fill them"):
        tables_from_scenario(changed(document, nodes=nodes), profile)
    phone = document["devices"][1:]
    beside = changed(document, nodes=nodes, devices=phone, pipeline={"first_cut": 3, "last_cut": 4})
    assert tables_from_scenario(beside, profile)["forward_s"] == pytest.approx(10.0)
    filled = profile.with_fill("board", "flop_ratio")
    assert tables_from_scenario(changed(document, nodes=nodes), filled)


def test_cuts_by_name_and_number(document, profile):
    """A name is the last layer before the cut."""
    named = changed(document, pipeline={"first_cut": "b", "last_cut": "d"})
    assert stated_cuts(named, profile) == (2, 4)
    assert owner_memory(named, profile, Cuts(2, 4)) == 3 * (10 + 20 + 50) + BATCH * 1800


@pytest.mark.parametrize(
    ("pipeline", "words"),
    [
        ({"first_cut": 4, "last_cut": 4}, "nothing is left for the nodes"),
        ({"first_cut": 1, "last_cut": 6}, "pipeline.last_cut: is 6, but 'five' has 5 layers"),
        ({"first_cut": "z", "last_cut": 4}, "'z', which names no layers of 'five'"),
        ({"first_cut": 1}, "pipeline.last_cut: is 'auto', which only a plan chooses"),
    ],
)
def test_impossible_cuts_are_refused(document, profile, pipeline, words):
    """Each in one sentence with its mend."""
    with pytest.raises(InputError, match=words):
        tables_from_scenario(changed(document, pipeline=pipeline), profile)


def test_batches_must_agree(document, profile):
    """All owners send batches of the same size."""
    devices = [dict(device) for device in document["devices"]]
    devices[1]["batch_size"] = 5
    with pytest.raises(InputError, match="batch_size is 10 for pi and 5 for phone"):
        tables_from_scenario(changed(document, devices=devices), profile)
    del devices[1]["batch_size"]
    with pytest.raises(InputError, match=r"phone.*has no 'batch_size'"):
        tables_from_scenario(changed(document, devices=devices), profile)


def test_what_a_profile_lacks_is_missed_only_where_memory_is_limited(document):
    """A profile without saved tensors will do as long as nobody states a memory."""
    bare = changed(document, model={"profile": "dp-mora-resnet34"}).load_model()
    nodes = [{"name": "fast", "count": 2, "compute": 1e12}]
    devices = [{"name": "d", "compute": 1e9, "samples": 30, "batch_size": BATCH}]
    free = changed(document, nodes=nodes, devices=devices)
    assert not tables_from_scenario(free, bare)["layer_memory_bytes"].any()
    limited = changed(document, nodes=[{**nodes[0], "memory": 1e9}], devices=devices)
    with pytest.raises(InputError, match="has no layer_saved_bytes, which the memory formula"):
        tables_from_scenario(limited, bare)


def test_work_that_falls_is_refused(document):
    """Regression curves can fall, and then a layer by itself has no work."""
    profile = Scenario.load("dp-mora-resnet18").load_model()
    falling = profile.to_dict()
    falling["device_forward_flop"] = [5e8, *falling["device_forward_flop"][1:]]
    falling["device_forward_flop"][1] = 1e8
    broken = ModelProfile.from_dict(falling, "test")
    nodes = [{"name": "fast", "compute": 1e12}]
    with pytest.raises(InputError, match="the work falls at layer 2"):
        tables_from_scenario(changed(document, nodes=nodes), broken)


def test_a_scenario_without_nodes_is_refused(scenario_document, profile):
    """The question is who of the nodes hosts what."""
    with pytest.raises(InputError, match="nodes: there are none"):
        tables_from_scenario(Scenario.from_si(scenario_document), profile)


@pytest.mark.parametrize("batches", [np.array([1, 2]), "3", True, [4]])
def test_batches_beside_groups_of_owners_are_one_number(document, profile, batches):
    groups = PipelinePartition.from_scenario(Scenario.from_si(document), profile).owner_groups
    with pytest.raises(InputError, match=r"^batches: is "):
        checked_owners(groups, groups.owners, batches, needed=False)
