"""``--stages``: a model that was profiled with declared stages is trained with the same ones."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
import splitopt  # noqa: E402
from splitopt import Scenario  # noqa: E402
from splitopt.cli.entry import run  # noqa: E402

pytestmark = pytest.mark.train

NET = '''
from torch import nn


class Gated(nn.Module):
    """Decides by the data, so that nothing but its stages tells where it can be cut."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.three = nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3)

    def forward(self, x):
        value = self.three(self.two(self.one(x)))
        return value if value.isfinite().all() else value * 0
'''
STAGES = ["--stages", "one, two,three"]


@pytest.fixture(autouse=True)
def loose_floats():
    """PyTorch does its own arithmetic."""
    with np.errstate(all="warn"):
        yield


@pytest.fixture
def given(capsys, tmp_path):
    """Return the arguments that name a plan of two devices, the model and data."""
    code, profile = tmp_path / "net.py", tmp_path / "gated.json"
    code.write_text(NET)
    target = f"{code}:Gated"
    traced = ["profile", target, "--input-shape", "8", *STAGES, "--all", "-o", str(profile)]
    assert run(traced) == 0
    document = Scenario.load("digits-splitfed").to_dict() | {"model": {"file": str(profile)}}
    device = {"compute": "2 kFLOP/s", "samples": 20, "batch_size": 10}
    document["devices"] = [{"name": "a", **device}, {"name": "b", **device}]
    splitopt.plan(Scenario.from_dict(document)).save(tmp_path / "plan.json")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 8)).astype(np.float32), np.arange(60) % 3
    np.savez(tmp_path / "data.npz", x=x, y=y)
    capsys.readouterr()
    return [tmp_path / "plan.json", "--model", target, "--data", tmp_path / "data.npz"]


def call(capsys, verb, *arguments):
    code = run([verb, *map(str, arguments)])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


@pytest.mark.slow
def test_training_whether_the_stages_are_named_again_or_not(capsys, given):
    """The same losses, bit for bit."""
    arguments = [*given, "--rounds", 2, "--json"]
    code, named, err = call(capsys, "train", *arguments, *STAGES)
    assert (code, err) == (0, "")
    code, out, err = call(capsys, "train", *arguments)
    assert (code, err) == (0, "")
    assert json.loads(out) == json.loads(named)


@pytest.mark.slow
def test_training_in_one_process_and_in_several(capsys, given):
    """The same losses, bit for bit; and a round of processes is held against the plan."""
    arguments = [*given, "--rounds", 2, "--json"]
    code, out, err = call(capsys, "train", *arguments)
    assert (code, err) == (0, "")
    code, wired, _ = call(
        capsys, "train", *arguments, "--wire", "--any-speed", "--time-scale", 1e-3
    )
    assert code == 0
    losses = [
        [row["loss"] for row in json.loads(text)["history"]["rounds"]] for text in (out, wired)
    ]
    assert losses[0] == losses[1]
    code, out, _ = call(capsys, "validate", *given, "--any-speed", "--time-scale", 1e-3, "--json")
    assert code == 0
    assert json.loads(out)["rounds"] == 1


def test_stages_that_are_not_there(capsys, given):
    """A wrong name and a missing one are sentences."""
    for text, words in (
        ("one,six", "stages: 'six' is no submodule; at the top there are one, two, three"),
        ("one,three", "the declared stages do not work (split and whole differ by"),
    ):
        code, _, err = call(capsys, "train", *given, "--stages", text)
        assert code == 2
        assert words in err
        assert err.count("\n") == 1
