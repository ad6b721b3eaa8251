"""Compute nodes, their links and the cuts in a scenario."""

from __future__ import annotations

import copy

import jsonschema
import pytest
import yaml

from splitopt import InputError, Scenario
from splitopt.profiles.counting.memory import DEFAULT_FORMULA, FORMULAS
from splitopt.scenario import Pipeline, scenario_schema


@pytest.fixture
def pipeline_document():
    """Return the plain data of a scenario with compute nodes and no server."""
    return {
        "format": "splitopt-scenario",
        "version": 1,
        "model": {"profile": "vgg19-cifar", "fill": "flop_ratio"},
        "devices": [
            {"name": "pi", "count": 3, "machine": "d1", "samples": 2048, "batch_size": 128}
        ],
        "links": {"downlink": "40 Mbit/s", "uplink": "40 Mbit/s", "nodes": "1 Gbit/s"},
        "nodes": [
            {"name": "vm", "count": 2, "machine": "VM", "memory": "16 GiB", "price_per_hour": 0.18},
            {"name": "slow", "machine": "VM", "slowdown": 2, "memory": "8 GiB"},
        ],
        "pipeline": {"first_cut": 2, "last_cut": "fc6"},
        "training": {"epochs": 2},
    }


def load(tmp_path, document):
    path = tmp_path / "scenario.yaml"
    path.write_text(yaml.safe_dump(document))
    return Scenario.load(path)


def test_nodes_are_read_in_si(tmp_path, pipeline_document):
    """Groups become single nodes, a bare rate is a uniform link, no server is needed."""
    scenario = load(tmp_path, pipeline_document)
    assert [node.name for node in scenario.node_list()] == ["vm-1", "vm-2", "slow"]
    assert scenario.links.nodes.model == "uniform"
    assert scenario.links.nodes.rate == 1e9
    assert scenario.servers == ()
    assert (scenario.pipeline.first_cut, scenario.pipeline.last_cut) == (2, "fc6")


def test_a_round_trip_keeps_everything(tmp_path, pipeline_document):
    """Also a matrix with a pair that has no link, and a scenario without nodes says nothing."""
    document = copy.deepcopy(pipeline_document)
    rates = [["1 Gbit/s", None], ["100 Mbit/s", "2 Gbit/s"]]
    document["links"]["nodes"] = {"model": "pairwise", "rates": rates, "latency": "2 ms"}
    scenario = load(tmp_path, document)
    assert scenario.links.nodes.rates == ((1e9, None), (1e8, 2e9))
    again = Scenario.from_dict(yaml.safe_load(scenario.to_yaml()))
    assert again == scenario
    jsonschema.Draft202012Validator(scenario_schema()).validate(scenario.to_dict())
    plain = Scenario.generate(seed=0, devices=2).to_dict()
    assert not {"nodes", "pipeline"} & set(plain)


def test_links_between_nodes_may_have_no_latency(tmp_path, pipeline_document):
    """0 ms is read, kept and written; less than that is refused."""
    document = copy.deepcopy(pipeline_document)
    document["links"]["nodes"] = {"model": "uniform", "rate": "1 Gbit/s", "latency": "0 ms"}
    scenario = load(tmp_path, document)
    assert scenario.links.nodes.latency == 0.0
    again = Scenario.from_dict(yaml.safe_load(scenario.to_yaml()))
    assert again == scenario
    jsonschema.Draft202012Validator(scenario_schema()).validate(scenario.to_dict())
    document["links"]["nodes"]["latency"] = "-1 ms"
    with pytest.raises(InputError, match="latency"):
        load(tmp_path, document)


def test_the_memory_formulas_are_those_of_the_profile():
    """A scenario takes exactly the formulas that there are, with the same default."""
    assert Pipeline().memory == DEFAULT_FORMULA
    for formula in FORMULAS:
        assert Pipeline(memory=formula).memory == formula


BAD = [
    (("nodes", 1, "name"), "vm-2", r"nodes\[1\] \(vm-2\): the name 'vm-2' stands twice"),
    (("nodes",), [], "nodes: is empty"),
    (("nodes",), ..., "servers: this field is missing; give servers or compute nodes"),
    (("nodes", 0, "machine"), ..., r"nodes\[0\] \(vm\): needs exactly one of 'compute'"),
    (("nodes", 0, "price_per_hour"), -1, r"nodes\[0\] \(vm\).price_per_hour: is -1"),
    (("nodes", 0, "slowdown"), 0, r"nodes\[0\] \(vm\).slowdown: is 0"),
    (("nodes", 0, "count"), 0, r"nodes\[0\] \(vm\).count: is 0"),
    (("nodes", 0, "memory"), "16", r"nodes\[0\] \(vm\).memory.*no unit"),
    (("nodes", 0, "colour"), "red", r"nodes\[0\] \(vm\).colour: this field is unknown"),
    (("nodes", 1), {"name": "x", "compute": "1 GFLOP/s", "slowdown": 2}, "state a lower 'compute'"),
    (("links", "nodes"), {"model": "uniform"}, "links.nodes: the model 'uniform' needs a 'rate'"),
    (("links", "nodes"), {"model": "mesh"}, "links.nodes.model: is 'mesh'"),
    (("links", "nodes"), {"model": "none", "rate": "1 Gbit/s"}, "drop them or name a model"),
    (("links", "nodes"), {"model": "nic"}, r"nodes\[0\] \(vm\): has no 'rate'"),
    (("links", "nodes"), {"model": "pairwise"}, "'rates' is missing"),
    (
        ("links", "nodes"),
        {"model": "uniform", "rate": "1 Gbit/s", "rates": [["1 Gbit/s"]]},
        "it belongs to 'pairwise' alone",
    ),
    (
        ("links", "nodes"),
        {"model": "pairwise", "rates": [["1 Gbit/s", "1 Gbit/s"]]},
        "links.nodes.rates: must have a row and a column for each of the 2 entries",
    ),
    (("links", "nodes"), {"model": "pairwise", "rates": [[5]]}, "5 has no unit"),
    (("links", "nodes"), "0 Mbit/s", "links.nodes.rate.*above 0"),
    (("pipeline", "first_cut"), 0, "pipeline.first_cut: is 0; give the number of layers"),
    (("pipeline", "first_cut"), True, "pipeline.first_cut: is True"),
    (("pipeline", "last_cut"), 2.5, "pipeline.last_cut: is 2.5"),
    (("pipeline", "order"), "any", "pipeline.order: is 'any'"),
    (("pipeline", "memory"), "lots", "pipeline.memory: is 'lots'"),
]


@pytest.mark.parametrize(("path", "value", "words"), BAD)
def test_bad_input_is_one_sentence(tmp_path, pipeline_document, path, value, words):
    """Every wrong field is named with its value and the mend, on one line."""
    document = copy.deepcopy(pipeline_document)
    place = document
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    with pytest.raises(InputError, match=words) as caught:
        load(tmp_path, document)
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)


@pytest.mark.parametrize("section", ["pipeline", "links"])
def test_sections_about_nodes_need_nodes(scenario_document, section):
    """What is about compute nodes is refused, not ignored, where there are none."""
    if section == "links":
        scenario_document["links"]["nodes"] = "1 Gbit/s"
    else:
        scenario_document["pipeline"] = {"order": "given"}
    with pytest.raises(InputError, match="there are no compute nodes; add 'nodes' or drop it"):
        Scenario.from_dict(scenario_document)


@pytest.mark.one_quick
@pytest.mark.parametrize("seed", range(5))
def test_generated_pipelines_can_be_planned(seed):
    """Any size is valid, survives a round trip and has a plan; the same seed draws the same."""
    from splitopt import plan

    scenario = Scenario.generate(seed=seed, devices=5 + seed, nodes=2 + seed % 3)
    assert len(scenario.node_list()) == 2 + seed % 3
    assert Scenario.from_dict(yaml.safe_load(scenario.to_yaml())) == scenario
    assert Scenario.generate(seed=seed, devices=5 + seed, nodes=2 + seed % 3) == scenario
    assert plan(scenario).result["outcome"] == "optimal"


@pytest.mark.parametrize("wrong", [{"nodes": 0}, {"nodes": True}, {"nodes": 2, "leakage_limit": 1}])
def test_impossible_pipelines_are_not_drawn(wrong):
    """At least one node, and no leakage limit."""
    with pytest.raises(InputError, match=r"nodes|leakage_limit"):
        Scenario.generate(seed=0, devices=2, **wrong)
