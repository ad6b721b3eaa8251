"""``splitopt diff``: its words, its JSON and its exit codes."""

from __future__ import annotations

import json

import pytest

from splitopt import Scenario, plan
from splitopt.cli.entry import run


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Write a plan, the plan of a better uplink, and one of another fleet."""
    folder = tmp_path_factory.mktemp("plans")
    document = Scenario.load("digits-splitfed").to_dict()
    plan("digits-splitfed").save(folder / "a.json")
    document["links"]["uplink"]["rate"] = "8 Mbit/s"
    plan(document).save(folder / "b.json")
    plan("digits-pipeline").save(folder / "c.json")
    return folder


def test_words(files, capsys):
    """The gain stands first, then what was given, decided, promised and proved."""
    assert run(["diff", str(files / "a.json"), str(files / "b.json")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("B's objective is ")
    assert "links.uplink.rate: 4 Mbit/s -> 8 Mbit/s (2 times)" in out
    assert "Whole training" in out
    assert "A: optimal by proof" in out


def test_exit_codes(files, capsys):
    """0 like a report, 1 only if asked and different, 2 for what is no plan."""
    one, other = str(files / "a.json"), str(files / "b.json")
    assert run(["diff", one, other]) == 0
    assert run(["diff", one, other, "--exit-code"]) == 1
    assert run(["diff", one, one, "--exit-code"]) == 0
    assert run(["diff", one, str(files / "none.json")]) == 2
    assert run(["diff", one, "digits-splitfed"]) == 2
    assert "is a shipped scenario; here a plan is needed" in capsys.readouterr().err


def test_json(files, capsys):
    """One object with a format, whose lists are lists."""
    assert run(["diff", str(files / "a.json"), str(files / "c.json"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["format"], found["version"]) == ("splitopt-plan-diff", 1)
    assert found["comparable"] is False
    assert found["differs"] is True
    assert found["problem"] == ["cut_and_resources", "pipeline_partition"]
