"""Scenarios to begin with: whatever is asked for, what is written plans as it stands."""

from __future__ import annotations

import pytest

from splitopt import InputError, Scenario, plan
from splitopt.documents.yaml_text import parse_yaml
from splitopt.profiles import load_profile, profile_names
from splitopt.scenario.starting import KINDS, starting_scenario


def read(text):
    return Scenario.from_dict(parse_yaml(text, "text"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("devices", [2, 3, 10, 23])
def test_it_has_what_was_asked_for(kind, devices):
    """The number of devices, the model, the section of the kind, and comments."""
    text = starting_scenario(kind, "cnn-digits", devices)
    found = read(text)
    if found.replication is None:
        assert found.device_count() == devices
    else:
        assert sum(one.count for one in found.replication.types) == devices
    assert (found.replication is not None) == (kind == "machines")
    assert found.model.profile == "cnn-digits"
    assert bool(found.nodes) == (kind == "pipeline")
    assert (found.clusters is not None) == (kind == "clusters")
    assert sum(line.startswith("#") for line in text.splitlines()) >= 8
    if found.clusters is not None:
        assert sum(found.clusters.all_sizes(devices)) == devices


@pytest.mark.parametrize("nodes", [1, 2, 5])
def test_a_pipeline_has_as_many_nodes(nodes):
    assert len(read(starting_scenario("pipeline", nodes=nodes)).node_list()) == nodes


QUICK = ("resnet18-imagenet", "cnn-digits")


def suits(kind, model):
    """Whether a profile can be used; searches over PipeDream's long graphs take minutes."""
    if kind == "machines":  # with memory and without, and of a graph
        return model in (*QUICK, "dp-mora-resnet18", "pipedream-inception_v3")
    if kind != "pipeline":
        return True
    saved = load_profile(model).layer_saved_bytes
    return saved is not None and model not in ("pipedream-resnet50", "pipedream-vgg16")


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        pytest.param(kind, model, marks=[pytest.mark.slow] * (model not in QUICK))
        for kind in KINDS
        for model in profile_names()
        if suits(kind, model)
    ],
)
def test_it_plans_as_it_stands(kind, model):
    """Of every kind and every shipped profile, and every guess is told."""
    found = plan(read(starting_scenario(kind, model, 6)), time_limit_s=20)
    assert found.is_feasible, found.result.message
    assert any("guesses of the scenario" in note for note in found.notes)


def test_every_guess_is_a_number_in_it():
    """A path of a guess that leads nowhere would be refused."""
    for kind in KINDS:
        place = "replication.types" if kind == "machines" else "devices"
        assert f"{place}.*.compute" in read(starting_scenario(kind)).guesses


@pytest.mark.parametrize("name", ["no", "123", 'a"b', "Ünïcode", "null", "- x", "a: b"])
def test_any_name_is_written_as_a_text(name):
    """YAML reads many words as something else."""
    assert read(starting_scenario(name=name)).name == name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kind": "ring"}, "kind: is 'ring', it must be one of star, pipeline, clusters, machines"),
        (
            {"model": "resnet-18"},
            "model: there is no profile 'resnet-18'; did you mean 'resnet18",
        ),
        ({"kind": "pipeline", "model": "dp-mora-resnet18"}, "does not say what its layers keep"),
        ({"model": "mine.json"}, "model: a file is not for a scenario to begin with"),
        ({"devices": 0}, "devices: is 0, it must be an integer >= 1"),
        ({"devices": 10**7}, "devices: is 10000000, it must be an integer <= 10000"),
        ({"kind": "clusters", "devices": 1}, "devices: is 1, it must be an integer >= 2"),
        ({"nodes": 3}, "nodes: are for a pipeline"),
        ({"kind": "pipeline", "nodes": 0}, "nodes: is 0"),
    ],
)
def test_what_cannot_be_is_refused(arguments, words):
    """Field, value and mend."""
    with pytest.raises(InputError, match=words):
        starting_scenario(**arguments)
