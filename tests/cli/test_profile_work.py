"""``splitopt profile`` and ``plan`` on models whose work is not known: named, declared, refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from splitopt import ModelProfile
from splitopt.cli.entry import run

pytestmark = pytest.mark.train

CODE = """
import torch
from torch import nn


class Decomposed(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(6, 9), nn.Linear(3, 2)

    def forward(self, x):
        x = torch.linalg.inv(torch.eye(3) + 0.01 * self.one(x).reshape(-1, 3, 3))
        return self.two(x.sum(1))


def cubes(shape, **_):
    return 2 * shape[0] * shape[1] ** 3

def text(shape):
    return "much"

NUMBER = 3
"""
SCENARIO = """
format: splitopt-scenario
version: 1
name: small
model: {file: net.json}
devices: [{name: board, MACHINE, samples: 100, batch_size: 10}]
links: {downlink: 10 Mbit/s, uplink: 10 Mbit/s}
servers: [{name: edge, MACHINE}]
training: {epochs: 1, rounds: 2}
"""
NET = ["profile", "own.py:Decomposed", "--input-shape", "6", "-o", "net.json"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(CODE)
    (tmp_path / "speed.yaml").write_text(SCENARIO.replace("MACHINE", "compute: 1 GFLOP/s"))
    (tmp_path / "times.yaml").write_text(SCENARIO.replace("MACHINE", "machine: here"))
    monkeypatch.chdir(tmp_path)


def words_of(capsys):
    captured = capsys.readouterr()
    return " ".join((captured.out + captured.err).split())


def test_work_that_is_not_known_is_named_and_refused_for_speeds(capsys):
    """The inverse of 3 x 3: named when profiled, and no plan by a speed, exit 2."""
    assert run(NET) == 0
    assert "since its cost is not known: aten::linalg_inv_ex (once in a pass" in words_of(capsys)
    assert run(["plan", "speed.yaml"]) == 2
    said = words_of(capsys)
    assert "error: profile 'decomposed' lacks work: there is no formula for aten::linalg" in said
    assert "--measure MACHINE" in said
    assert run(["compare", "speed.yaml"]) == 2
    assert "lacks work" in words_of(capsys)


def test_measured_times_are_the_way_out(capsys):
    """No speed follows, the times are kept, a plan is made and its report says what is missing."""
    how = ["--measure", "here", "--batch", "2", "--repeats", "1"]
    assert run([*NET, *how]) == 0
    assert "No speed follows from the times of here: profile" in words_of(capsys)
    assert run(["plan", "times.yaml", "-o", "plan.json"]) == 0
    assert "Note: Not counted in the work" in words_of(capsys)
    assert run(["report", "plan.json"]) == 0
    assert "aten::linalg_inv_ex (once in a pass" in words_of(capsys)


@pytest.mark.slow
def test_declared_work_is_the_other(capsys):
    """3 x 3 x 3 multiply-accumulates a sample: 54 FLOP and the layers' own 2 (54 + 6)."""
    declared = ["--flop", "aten::linalg_inv_ex=own.py:cubes"]
    assert run([*NET, *declared]) == 0
    assert "not known" not in words_of(capsys)
    profile = ModelProfile.load("net.json")
    assert profile.device_forward_flop[-1] == 54 + 2 * (54 + 6)
    assert run(["plan", "speed.yaml"]) == 0


@pytest.mark.one_quick
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("aten::linalg_inv_ex", "--flop: 'aten::linalg_inv_ex' must be OPERATOR=FILE.py:FUNCTION"),
        ("aten::linalg_inv_ex=own.py:missing", "there is no 'missing'"),
        ("aten::linalg_inv_ex=own.py:NUMBER", "is a int; name a function"),
        ("aten::linalg_inv_ex=none.py:cubes", "none.py: there is no such file"),
        ("aten::linalg_inv_ex=own.py:text", "returns str; it must return FLOP"),
        ("aten::linalg_lu=own.py:cubes", "declared for aten::linalg_lu, which did not run"),
        ("cubes=own.py:cubes", "'cubes' names no operator"),
    ],
)
def test_declarations_that_cannot_be_used(capsys, text, words):
    """One sentence, exit 2."""
    assert run([*NET, "--flop", text]) == 2
    assert words in words_of(capsys)


@pytest.mark.slow
def test_the_speed_of_a_machine_follows_from_the_counted_work(capsys):
    """GFLOP/s is the work of the profile over the measured seconds, depthwise layers included."""
    how = ["--measure", "here", "--batch", "2", "--repeats", "1", "-o", "mobile.json"]
    assert run(["profile", "mobilenetv2", "--input-shape", "3,32,32", "--classes", "10", *how]) == 0
    said = words_of(capsys)
    document = json.loads(Path("mobile.json").read_text())
    times = document["machines"]["here"]
    seconds = sum(times["forward_s"]) + sum(times["backward_s"])
    speed = (175_952_896 + 350_136_320) / seconds / 1e9
    assert f"here works at {speed:.3g} GFLOP/s on this model" in said
