"""The section ``data``: read in both forms, written as read, and refused in one sentence."""

from __future__ import annotations

import pytest

from splitopt import Scenario, plan
from splitopt.errors import InputError
from splitopt.plans import Plan
from splitopt.scenario.schema import scenario_schema
from splitopt.scenario.training_data import NAMED


def with_data(value):
    return Scenario.load("digits-splitfed").to_dict() | {"data": value}


def test_both_forms_are_read_and_written_back(tmp_path):
    short, full = (Scenario.from_dict(with_data(own)) for own in ("digits", {"source": "digits"}))
    assert short == full
    assert short.data.partition is None
    own = {"source": "text:python", "partition": "file:rows.json", "task": "language"}
    found = Scenario.from_dict(with_data(own))
    assert found.to_dict()["data"] == own
    found.save(tmp_path / "s.yaml")
    assert Scenario.load(tmp_path / "s.yaml") == found
    assert "data" not in Scenario.load("digits-splitfed").to_dict()
    assert {"type": "string"} in scenario_schema()["properties"]["data"]["anyOf"]


def test_a_plan_carries_it_and_is_the_same(tmp_path):
    """Data count for training alone: decision and prediction do not change, and no note is made."""
    made = plan(Scenario.from_dict(with_data({"source": "digits", "partition": "dirichlet:0.3"})))
    bare = plan(Scenario.load("digits-splitfed"))
    assert (made.decision, made.prediction) == (bare.decision, bare.prediction)
    assert made.notes == bare.notes
    made.save(tmp_path / "p.json")
    assert Plan.load(tmp_path / "p.json").scenario["data"]["partition"] == "dirichlet:0.3"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (5, "data: is 5; it must be an object"),
        ({"partition": "iid"}, "data.source: this field is missing"),
        ({"source": ""}, "data.source: is ''"),
        ({"source": "d", "partition": "dirichlet:x"}, "data.partition: is 'dirichlet:x'; it must"),
        ({"source": "d", "partition": "classes:0"}, "data.partition: is 'classes:0'; it must be"),
        ({"source": "d", "partition": "file:"}, "data.partition: is 'file:'; it must be iid"),
        ({"source": "d", "task": "own.py:TASK"}, "your code and is run only if you name it"),
        ({"name": "digits"}, "data.name: this field is unknown; write 'source'"),
        ({"source": "d", "samples": "data"}, "data.samples: this field is unknown; it is a field"),
    ],
)
def test_what_is_none_is_refused(value, words):
    with pytest.raises(InputError, match=words):
        Scenario.from_dict(with_data(value))


@pytest.mark.parametrize(
    ("stated", "planned"),
    [
        ("digits", "digits"),
        ("mnist", "mnist"),
        ("text:python", "text:python"),
        ("text:python:64", "text:python:64"),
        ("text:tale.txt:64", "text:lab/tale.txt:64"),
        ("photos.npz", "lab/photos.npz"),
        ("mnist:images", "mnist:lab/images"),
        ("../photos.npz", "lab/../photos.npz"),
        ("/data/photos.npz", "/data/photos.npz"),
        ("shards", "lab/shards"),
        ({"source": "digits", "partition": "file:rows.json"}, "digits"),
    ],
)
def test_paths_are_relative_to_the_scenario(tmp_path, monkeypatch, stated, planned):
    """A plan has them as seen from where it is made; the scenario keeps what it says."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab" / "shards").mkdir(parents=True)
    (tmp_path / "lab" / "mnist").mkdir()
    scenario = Scenario.from_dict(with_data(stated))
    scenario.save(tmp_path / "lab" / "s.yaml")
    loaded = Scenario.load("lab/s.yaml")
    assert loaded == scenario
    data = plan(loaded).scenario["data"]
    assert data["source"] == planned
    if isinstance(stated, dict):
        assert data["partition"] == "file:lab/rows.json"
    monkeypatch.chdir(tmp_path / "lab")
    assert plan("s.yaml").scenario["data"]["source"] == scenario.data.source


@pytest.mark.train
def test_all_names_of_sources_are_known_as_such():
    """A folder that is called like a data set is not taken for it."""
    pytest.importorskip("torch", reason="needs the extra 'train'")
    from splitopt.training.data.known import KNOWN

    assert set(NAMED) == {"digits", "text", *KNOWN}
