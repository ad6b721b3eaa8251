"""What was named once is remembered: how a model is cut, what it is called, which data it had."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
import splitopt  # noqa: E402
from splitopt import Scenario  # noqa: E402
from splitopt.cli.entry import run  # noqa: E402

pytestmark = pytest.mark.train

LAYERS = """
from torch import nn


class Layers(nn.Module):
    def __init__(self):
        super().__init__()
        self.flat = nn.Flatten()
        self.one, self.two, self.three = nn.Linear(64, 32), nn.Linear(32, 32), nn.Linear(32, 10)
"""
NET = '''
from layers import Layers


class Checked(Layers):
    """Looks at a shape in Python, as models of transformers do, and says its stages."""

    def forward(self, x):
        x = self.flat(x)
        if x.shape[1] != 64:
            raise ValueError("64 values")
        return self.three(self.two(self.one(x)))


class Declared(Checked):
    def split_stages(self):
        return [self.flat, self.one, self.two, self.three]
'''


@pytest.fixture(autouse=True)
def loose_floats():
    """PyTorch does its own arithmetic."""
    with np.errstate(all="warn"):
        yield


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    """Return the function that runs a command in a folder with the model's files in another."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "layers.py").write_text(LAYERS)
    (tmp_path / "code" / "net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        capsys.readouterr()
        code = run([*map(str, arguments)])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return call


def plan_of(call, target, *options):
    """Profile a model and plan it on two devices; the plan is plan.json."""
    code, _, err = call(
        "profile", target, "--input-shape", "1,8,8", "--all", "-o", "net.json", *options
    )
    assert code == 0, err
    document = Scenario.load("digits-splitfed").to_dict() | {"model": {"file": "net.json"}}
    device = {"compute": "2 kFLOP/s", "samples": 20, "batch_size": 10}
    document["devices"] = [{"name": "a", **device}, {"name": "b", **device}]
    splitopt.plan(Scenario.from_dict(document)).save("plan.json")


@pytest.mark.slow
def test_declared_stages_of_the_model_are_used_everywhere(call, tmp_path):
    """A model that torch.export could follow, too, is cut where it says, and exported so."""
    plan_of(call, "code/net.py:Declared")
    trace = json.loads((tmp_path / "net.json").read_text())["trace"]
    assert trace == {
        "method": "stages",
        "model": "code/net.py:Declared",
        "input_shape": [1, 8, 8],
        "input_dtype": "float32",
    }
    model = ("--model", "code/net.py:Declared")
    for verb, further in (
        ("train", ("--rounds", 1)),
        ("export", ("--to", "torch", "-o", "parts")),
    ):
        code, _, err = call(verb, "plan.json", *model, *further)
        assert (code, err) == (0, "")
    assert "self.flat(" in (tmp_path / "parts" / "parts.py").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "method", "stages"),
    [(("--stages", "flat,one,two,three"), "stages", ["flat", "one", "two", "three"])],
)
def test_the_method_is_used_again(call, tmp_path, options, method, stages):
    """Stages that were named at profiling are those of training and export."""
    plan_of(call, "code/net.py:Checked", *options)
    trace = json.loads((tmp_path / "net.json").read_text())["trace"]
    assert (trace["method"], trace.get("stages")) == (method, stages)
    code, _, err = call("train", "plan.json", "--model", "code/net.py:Checked", "--rounds", 1)
    assert (code, err) == (0, "")


def test_a_model_without_the_stages_is_told_of_them(call):
    """The plan's model had a method that this one lacks."""
    plan_of(call, "code/net.py:Declared")
    code, _, err = call("train", "plan.json", "--model", "code/net.py:Checked", "--rounds", 1)
    assert code == 2
    assert "stages: of declared were declared when it was profiled" in err


@pytest.mark.one_quick
@pytest.mark.parametrize(
    ("verb", "options"),
    [
        ("train", ("--rounds", "1", "--lr", "0.1")),
        ("validate", ("--steps", "1")),
        ("export", ("--to", "torch", "-o", "a folder")),
    ],
)
def test_the_whole_command_is_proposed(call, tmp_path, verb, options):
    """The user's code is not imported; with the model in the message the command does its work."""
    plan_of(call, "code/net.py:Declared")
    (tmp_path / "code" / "net.py").write_text("raise SystemExit('was run')")
    code, _, err = call(verb, "plan.json", *options)
    assert code == 2
    assert "was run" not in err
    assert err.count("\n") == 1
    words = shlex.split(err.partition("the whole command is: ")[2])
    assert words == ["splitopt", verb, "plan.json", *options, "--model", "code/net.py:Declared"]


def test_in_python_the_model_is_proposed_too(call):
    """The message of the function has the argument of the function."""
    plan_of(call, "code/net.py:Declared")
    with pytest.raises(splitopt.InputError, match=r"model='code/net.py:Declared' in Python"):
        splitopt.train(splitopt.Plan.load("plan.json"), rounds=1)


def test_a_shipped_network_needs_no_naming(call):
    """Its name is known, whatever the profile is called."""
    plan_of(call, "cnn", "--name", "something")
    code, _, err = call("train", "plan.json", "--rounds", 1)
    assert (code, err) == (0, "")


@pytest.mark.slow
def test_data_of_a_checkpoint_are_proposed(call, tmp_path):
    """Going on without naming the data again says with which they began."""
    plan_of(call, "cnn")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 1, 8, 8)).astype(np.float32), np.arange(80) % 10
    np.savez(tmp_path / "own.npz", x=x, y=y)
    begin = ("train", "plan.json", "--checkpoint", "state")
    assert call(*begin, "--rounds", 1, "--data", "own.npz")[0] == 0
    code, _, err = call(*begin, "--rounds", 2, "--resume")
    assert code == 2
    words = shlex.split(err.partition("the whole command is: ")[2])
    assert words[-2:] == ["--data", "own.npz"]
    assert call(*words[1:])[0] == 0
    np.savez(tmp_path / "other.npz", x=2 * x, y=y)
    code, _, err = call(*begin, "--rounds", 3, "--resume", "--data", "other.npz")
    assert code == 2
    assert "go on with what it was begun with, own.npz" in err
