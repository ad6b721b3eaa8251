"""`splitopt export` as a user meets it."""

from __future__ import annotations

import json
import os

import pytest

from splitopt import Plan, Scenario, plan
from splitopt.cli.entry import run
from splitopt.export import EXPORTERS

pytest.importorskip("torch", reason="needs the extra 'train'")

OWN = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3)

    def forward(self, x):
        if x.shape[0] > 9999 or (not self.training and x.sum() > 1e9):
            raise ValueError
        return self.conv1(x).relu().flatten(1)


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two, self.three = nn.Linear(8, 6), nn.Linear(6, 6), nn.Linear(6, 10)

    def forward(self, x):
        if x.shape[1] != 8:
            raise ValueError
        return self.three(self.two(self.one(x)))


def flat():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 9), nn.ReLU(), nn.Linear(9, 10))


def same():
    from splitopt.models import build

    return build("cnn", (1, 8, 8))
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return a folder with plans of the shipped fleets."""
    folder = tmp_path_factory.mktemp("plans")
    for name in ("splitfed", "pipeline"):
        plan(Scenario.load(f"digits-{name}")).save(folder / f"{name}.json")
    document = Scenario.load("digits-clusters").to_dict()
    document["spectrum"]["subcarriers"] = 2
    plan(Scenario.from_dict(document)).save(folder / "none.json")
    other = Scenario.load("digits-splitfed").to_dict() | {"model": "dp-mora-resnet18"}
    plan(Scenario.from_dict(other), time_limit_s=5).save(folder / "paper.json")
    (folder / "net.py").write_text(OWN)
    return folder


@pytest.mark.slow
def test_writes_a_folder(capsys, tmp_path, saved):
    """A table for people, one object for machines."""
    out = tmp_path / "parts"
    assert run(["export", str(saved / "pipeline.json"), "--to", "torch", "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "owner-3" in printed
    assert "conv1, pool2, fc1" in printed
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md", "model.py", "parts.json", "parts.py",
    ]  # fmt: skip
    again = ["export", str(saved / "splitfed.json"), "--to", "torch", "-o", str(out), "--json"]
    assert run(again) == 2
    assert "--force" in capsys.readouterr().err
    assert run([*again, "--force", "--model", f"{saved}/net.py:same"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["clients"][0]["parts"][1]["party"] == "gateway"
    assert "model.py" not in found["files"]
    assert not (out / "model.py").exists()


@pytest.mark.slow
def test_declared_stages_are_used_again(capsys, tmp_path, saved):
    """A model that was profiled with --stages is exported with the same, named again or not."""
    target, profile = f"{saved}/net.py:Gated", tmp_path / "gated.json"
    declared = ["--stages", "one,two,three"]
    traced = ["profile", target, "--input-shape", "8", *declared, "--all", "-o", str(profile)]
    assert run(traced) == 0
    document = Scenario.load("digits-pipeline").to_dict() | {"model": {"file": str(profile)}}
    document["pipeline"] = {"first_cut": 1, "last_cut": 2}
    document["nodes"] = document["nodes"][:1]
    plan(Scenario.from_dict(document)).save(tmp_path / "plan.json")
    capsys.readouterr()
    arguments = ["export", str(tmp_path / "plan.json"), "--model", target, "--to", "torch"]
    for folder, further in (("out", []), ("named", declared)):
        assert run([*arguments, "-o", str(tmp_path / folder), *further]) == 0
        assert "x = self.two(x)" in (tmp_path / folder / "parts.py").read_text()


def test_help_names_the_formats(capsys):
    """Every format that there is stands in the help."""
    assert run(["export", "--help"]) == 0
    assert f"{', '.join(EXPORTERS)};" in " ".join(capsys.readouterr().out.replace("│", " ").split())


@pytest.mark.one_quick
@pytest.mark.parametrize(
    ("code", "arguments", "words"),
    [
        (1, ["none.json"], "there is nothing to train"),
        (
            2,
            ["splitfed.json", "--to", "torhc"],
            f"{', '.join(EXPORTERS)}; did you mean 'torch'?",
        ),
        (2, ["paper.json"], "is named after no shipped network"),
        (2, ["paper.json", "--model", "cnn"], "has the fingerprint"),
        (
            2,
            ["splitfed.json", "--model", "NET:flat", "--match", "names"],
            "no cut that the model has",
        ),
        (2, ["splitfed.json", "--model", "lenet12"], "first difference"),
        (2, ["splitfed.json", "--input-shape", "1,28,28"], "in the output of layer 'conv1'"),
        (2, ["splitfed.json", "--classes", "7"], "in trained parameters up to layer 'fc2'"),
        (2, ["splitfed.json", "--match", "luck"], "must be one of structure, names"),
        (1, ["splitfed.json", "--model", "NET:Net", "--match", "names"], "found by torch.export"),
        (2, ["splitfed.json", "--weights", "no.safetensors"], "there is no such file"),
        (2, ["splitfed.json", "--weights", "NET"], "is no readable safetensors file"),
        (2, ["splitfed.json", "--weights", "OTHER"], "the weights are of another model"),
        (2, ["splitfed.json", "-o", "no/such/folder"], "does not exist"),
        (2, ["no.json"], "there is no such file"),
        (2, ["paper.json", "--to", "torch-pipelining"], "is named after no shipped network"),
    ],
)
def test_mistakes_are_one_sentence(capsys, monkeypatch, tmp_path, saved, code, arguments, words):
    """One line on standard error, and nothing is written."""
    from safetensors.torch import save_file
    from torch import zeros

    monkeypatch.chdir(tmp_path)
    save_file({"conv1.conv.weight": zeros(8, 1, 3, 3)}, "other.safetensors")
    names = {
        "NET": f"{saved}/net.py",
        "NET:Net": f"{saved}/net.py:Net",
        "NET:flat": f"{saved}/net.py:flat",
        "OTHER": "other.safetensors",
    }
    given = [names.get(item, item) for item in arguments]
    to = [] if "--to" in given else ["--to", "torch"]
    out = [] if "-o" in given else ["-o", "parts"]
    assert run(["export", str(saved / given[0]), *given[1:], *to, *out]) == code
    err = capsys.readouterr().err
    assert len(err.strip().splitlines()) == 1, err
    assert err.startswith("splitopt: error: ")
    assert words in err
    assert os.listdir() == ["other.safetensors"]


def test_a_name_of_two_parties_is_refused(capsys, tmp_path):
    """An export tells parties by their names."""
    document = Scenario.load("digits-splitfed").to_dict()
    document["servers"][0]["name"] = "slow"
    plan(Scenario.from_dict(document)).save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json").is_feasible
    assert (
        run(["export", str(tmp_path / "plan.json"), "--to", "torch", "-o", str(tmp_path / "o")])
        == 2
    )
    assert "'slow' is the name of a device and of a server" in capsys.readouterr().err
