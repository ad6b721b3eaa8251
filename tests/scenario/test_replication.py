"""The section ``replication``: read, written, and what is refused."""

from __future__ import annotations

import json

import pytest

from splitopt import InputError, Scenario
from splitopt.problems.replicated_pipeline import ReplicatedPipeline
from splitopt.profiles import MachineModel
from splitopt.scenario import scenario_schema
from tests.accelerated import scenario as accelerated
from tests.replicated import FAST, SLOW, scenario


def given(*types, **replication):
    """Return a scenario with changes of its section."""
    return scenario("model.json", *types, **replication)


def test_it_stands_in_the_place_of_a_fleet(tmp_path):
    """There are no devices and no links, in plain data and in YAML."""
    found = Scenario.from_dict(given(schedule="gpipe", recompute="choose", overlap=True))
    assert found.devices == ()
    assert not {"devices", "links"} & found.to_dict().keys()
    assert Scenario.from_dict(found.to_dict()) == found
    found.save(tmp_path / "s.yaml")
    assert Scenario.load(tmp_path / "s.yaml") == found
    assert found.replication.names() == [["fast-1", "fast-2"], ["slow"]]
    assert "3 machines of 2 types" in repr(found)
    assert "Devices" not in str(found)
    assert "500 kbit/s" in str(found)


def test_machine_models_are_read_from_files(tmp_path):
    """Those of every type, beside the scenario."""
    model = MachineModel("board", 4, (1e-9, 1e-9, 1e-9, 1e-9, 1e-9, 1e-6), 1e-3)
    model.save(tmp_path / "m.json")
    types = [{"name": "a", "machine_model": "m.json", "rate": "1 Mbps", "slowdown": 2}, FAST]
    (tmp_path / "s.yaml").write_text(json.dumps(given(*types)))
    assert Scenario.load(tmp_path / "s.yaml").replication.types[0].speed == model
    types[0]["machine_model"] = "none.json"
    (tmp_path / "s.yaml").write_text(json.dumps(given(*types)))
    with pytest.raises(InputError, match=r"none\.json: there is no such file"):
        Scenario.load(tmp_path / "s.yaml")


@pytest.mark.parametrize(
    ("types", "changes", "message"),
    [
        ((), {"schedule": "zigzag"}, "replication.schedule"),
        ((), {"recompute": True}, "replication.recompute"),
        ((), {"optimizer": "lion"}, "replication.optimizer"),
        ((), {"micro_batches": 0}, "replication.micro_batches"),
        ((), {"max_replicas": 0}, "replication.max_replicas"),
        ((), {"overlap": "maybe"}, "replication.overlap"),
        ((), {"types": []}, "replication.types"),
        ((), {"types": "gpu"}, "replication.types"),
        ((), {"memory": "1 GB"}, "state it of each of the 'types'"),
        ((), {"devices": 4}, "state them as 'types'"),
        ((FAST, FAST), {}, r"types\[1\].*stands twice"),
        ((FAST, {**SLOW, "name": "fast-2"}), {}, r"types\[1\].*stands twice"),
        (({**FAST, "memory": "1 GB"}, SLOW), {}, r"types\[1\].*has no 'memory'"),
        (({**FAST, "reserve": "1 GB"},), {}, "'reserve' is kept free of 'memory'"),
        (({**FAST, "slowdown": 2},), {}, "'slowdown' is for a measured machine"),
        (({**FAST, "machine": "gpu"},), {}, "needs exactly one of 'compute'"),
        (({**FAST, "count": 600}, {**SLOW, "count": 600}), {}, "1,200 machines in all"),
        (({**FAST, "rate": 100},), {}, "rate.*unit"),
        (({**FAST, "bandwidth": "1 Mbps"},), {}, "state it as 'rate'"),
    ],
)
def test_what_does_not_fit_is_refused(types, changes, message):
    """Field, value and mend."""
    with pytest.raises(InputError, match=message):
        Scenario.from_dict(given(*types, **changes))


@pytest.mark.parametrize("other", ["devices", "links", "servers", "nodes", "pipeline"])
def test_a_fleet_beside_it_is_refused(other):
    """One of both: the machines train the whole model."""
    fleet = Scenario.load("digits-pipeline").to_dict() | Scenario.load("digits-splitfed").to_dict()
    fleet |= {"nodes": Scenario.load("digits-pipeline").to_dict()["nodes"]}
    fleet |= {"pipeline": {"first_cut": 1}}
    with pytest.raises(InputError, match=f"{other}: does not go with 'replication'"):
        Scenario.from_dict({**given(), other: fleet[other]})


def test_accelerators_beside_it_are_refused():
    """Each of both trains the whole model."""
    both = given() | {"accelerators": accelerated("model.json")["accelerators"]}
    with pytest.raises(InputError, match="replication: does not go with 'accelerators'"):
        Scenario.from_dict(both)


def test_gradients_of_single_samples_and_boundaries_are_refused():
    """They are of devices that keep their data, and of compute nodes."""
    document = given() | {"model": {"profile": "pipedream-vgg16"}}
    asked = Scenario.from_dict({**document, "privacy": {"per_sample_gradients": True}})
    with pytest.raises(InputError, match="not about replication"):
        asked.load_model()
    with pytest.raises(InputError, match="the scenario has no nodes"):
        Scenario.from_dict(document).with_boundaries("cuts")


def test_the_schema_takes_it_in_the_place_of_a_fleet():
    """Editors know it, and what is missing."""
    jsonschema = pytest.importorskip("jsonschema", reason="needs the extra 'test'")
    validator = jsonschema.Draft202012Validator(scenario_schema())
    assert validator.is_valid(given())
    bare = given()
    del bare["replication"]
    assert not validator.is_valid(bare)
    assert not validator.is_valid(given(schedule="zigzag"))


@pytest.mark.parametrize(("seed", "machines", "types"), [(1, 5, 2), (2, 3, 3), (3, 40, 1)])
def test_drawn_machines_are_planned_and_read_back(seed, machines, types, tmp_path):
    """As many as asked for, one of each type at least, the same for the same seed."""
    found = Scenario.generate(seed=seed, devices=machines, types=types)
    counts = [one.count for one in found.replication.types]
    assert (len(counts), sum(counts), min(counts) >= 1) == (types, machines, True)
    assert Scenario.generate(seed=seed, devices=machines, types=types) == found
    found.save(tmp_path / "s.yaml")
    assert Scenario.load(tmp_path / "s.yaml") == found
    assert ReplicatedPipeline.from_scenario(found).infeasibility() is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"devices": 2, "types": 3}, "machines: is 2, it must be at least the 3 types"),
        ({"types": 0}, "types: is 0"),
        ({"types": 2, "seed": -1}, "seed: is -1"),
        ({"types": 2, "nodes": 2}, "nodes: is not for machines of types"),
        ({"types": 2, "leakage_limit": 0.5}, "leakage_limit: is not for machines"),
    ],
)
def test_machines_that_cannot_be_drawn_are_refused(given, words):
    with pytest.raises(InputError, match=words):
        Scenario.generate(**given)
