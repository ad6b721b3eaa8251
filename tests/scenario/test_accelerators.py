"""The section ``accelerators``: read, written, and what is refused."""

from __future__ import annotations

import json

import pytest

from splitopt import InputError, Scenario, load_profile
from splitopt.profiles import MachineModel
from splitopt.scenario import scenario_schema
from tests.accelerated import scenario


def given(**accelerators):
    """Return a scenario with changes of its section."""
    return scenario("model.json", **accelerators)


def test_it_stands_in_the_place_of_a_fleet():
    """There are no devices and no links, in plain data and in YAML."""
    found = Scenario.from_dict(given(cpu={"compute": "1 GFLOPS", "count": 2}))
    assert found.devices == ()
    assert not {"devices", "links"} & found.to_dict().keys()
    assert Scenario.from_dict(found.to_dict()) == found
    assert found.accelerators.names() == [
        "accelerator-1", "accelerator-2", "accelerator-3", "cpu-1", "cpu-2",
    ]  # fmt: skip
    assert found.accelerators.most_in_flight == 3  # no more than there are
    assert Scenario.from_dict(given(micro_batches=50)).accelerators.most_in_flight == 5
    assert Scenario.from_dict(given(in_flight=2)).accelerators.most_in_flight == 2
    assert "5 machines" in repr(found)
    assert "100 Mbit/s" in str(found)
    assert "Devices" not in str(found)


def test_it_is_read_from_a_file(tmp_path):
    """As YAML writes it."""
    found = Scenario.from_dict(given(memory="1 GB"))
    found.save(tmp_path / "s.yaml")
    assert Scenario.load(tmp_path / "s.yaml") == found


def test_machine_models_are_read_from_files(tmp_path):
    """Those of the accelerators and of the CPU, beside the scenario."""
    model = MachineModel("board", 4, (1e-9, 1e-9, 1e-9, 1e-9, 1e-9, 1e-6), 1e-3)
    model.save(tmp_path / "m.json")
    document = given(machine_model="m.json", cpu={"machine_model": "m.json"})
    del document["accelerators"]["compute"]
    (tmp_path / "s.yaml").write_text(json.dumps(document))
    section = Scenario.load(tmp_path / "s.yaml").accelerators
    assert section.speed == section.cpu.speed == model
    document["accelerators"]["cpu"]["machine_model"] = "none.json"
    (tmp_path / "s.yaml").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"none\.json: there is no such file"):
        Scenario.load(tmp_path / "s.yaml")


def test_gradients_of_single_samples_are_refused(tmp_path):
    """They are of devices that keep their data."""
    drawn_profile = load_profile("pipedream-alexnet", boundaries="graph")
    drawn_profile.save(tmp_path / "p.json")
    document = scenario(tmp_path / "p.json") | {"privacy": {"per_sample_gradients": True}}
    with pytest.raises(InputError, match="not about accelerators"):
        Scenario.from_dict(document).load_model()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": 0}, "accelerators.count"),
        ({"count": 5000}, "accelerators.count"),
        ({"rate": 100}, r"accelerators.rate.*unit"),
        ({"rate": "-1 Mbps"}, "accelerators.rate"),
        ({"machine": "gpu"}, "needs exactly one of 'compute'"),
        ({"cpu": {}}, "needs exactly one of 'compute'"),
        ({"cpu": {"compute": "1 GFLOPS", "memory": "1 GB"}}, "'memory' is that of the host"),
        ({"cpu": {"compute": "1 GFLOPS", "rate": "1 Mbps"}}, "a CPU has the host's memory"),
        ({"cpu": {"compute": "1 GFLOPS", "name": "accelerator-2"}}, "have a name in common"),
        ({"held": "all"}, "accelerators.held"),
        ({"micro_batches": 0}, "accelerators.micro_batches"),
        ({"link": "1 Mbps"}, "state it as 'rate'"),
        ({"cpus": 1}, "state them as 'cpu'"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    """Field, value and mend."""
    with pytest.raises(InputError, match=message):
        Scenario.from_dict(given(**changes))


@pytest.mark.parametrize("other", ["devices", "links", "servers", "nodes", "pipeline"])
def test_a_fleet_beside_it_is_refused(other):
    """One of both: the accelerators run the whole model."""
    fleet = Scenario.load("digits-pipeline").to_dict() | Scenario.load("digits-splitfed").to_dict()
    fleet |= {"nodes": Scenario.load("digits-pipeline").to_dict()["nodes"]}
    fleet |= {"pipeline": {"first_cut": 1}}
    with pytest.raises(InputError, match=f"{other}: does not go with 'accelerators'"):
        Scenario.from_dict({**given(), other: fleet[other]})


def test_without_it_a_fleet_is_needed():
    """Missing and empty sections are named as before."""
    document = given()
    del document["accelerators"]
    with pytest.raises(InputError, match=r"devices: this field is missing"):
        Scenario.from_dict(document)
    whole = Scenario.load("digits-splitfed").to_dict()
    with pytest.raises(InputError, match="devices"):
        Scenario.from_dict({**whole, "devices": []})
    with pytest.raises(InputError, match="devices: is empty"):
        Scenario.from_dict({**whole, "devices": ()})


@pytest.mark.parametrize(
    ("kind", "message"),
    [("cuts", "accelerators run a graph of layers"), ("prefixes", "accelerators run a graph")],
)
def test_boundaries_of_a_pipeline_are_refused(kind, message):
    """And those of a graph where there are nodes."""
    with pytest.raises(InputError, match=message):
        Scenario.from_dict(given()).with_boundaries(kind)
    with pytest.raises(InputError, match="for alike accelerators; state the section"):
        Scenario.load("digits-pipeline").with_boundaries("graph")


def test_the_schema_takes_a_fleet_or_accelerators():
    """Editors know both kinds."""
    jsonschema = pytest.importorskip("jsonschema", reason="needs the extra 'test'")
    validator = jsonschema.Draft202012Validator(scenario_schema())
    assert validator.is_valid(given())
    assert validator.is_valid(Scenario.load("digits-splitfed").to_dict())
    bare = given()
    del bare["accelerators"]
    assert not validator.is_valid(bare)
