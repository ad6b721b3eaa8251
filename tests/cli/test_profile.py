"""``splitopt profile``: files, and one sentence for everything that a user's code can do wrong."""

from __future__ import annotations

import json

import pytest

from splitopt import load_profile
from splitopt.cli.entry import run

pytestmark = pytest.mark.train

CODE = """
import torch
from torch import nn

print("a factory may print")

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))

def broken():
    raise KeyError("weights")

def leaves():
    raise SystemExit(3)

def number():
    return 7

class Raises(Net):
    def forward(self, x):
        raise ZeroDivisionError("inside forward")

class Single(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 2), nn.Linear(6, 2)
    def forward(self, x):
        return self.a(x) + self.b(x)

class Pair(Single):
    def forward(self, x, y):
        return self.a(x) + self.b(y)
"""


@pytest.fixture
def code(tmp_path, monkeypatch):
    (tmp_path / "my_networks.py").write_text(CODE)
    (tmp_path / "bad_networks.py").write_text("import no_such_package_of_mine\n")
    monkeypatch.chdir(tmp_path)
    return str(tmp_path / "my_networks.py")


@pytest.mark.slow
def test_a_model_of_ones_own(capsys, tmp_path, code):
    """A file and a factory give a table and a profile file that loads."""
    saved = tmp_path / "net.json"
    assert run(["profile", f"{code}:Net", "--input-shape", "6", "-o", str(saved)]) == 0
    out = capsys.readouterr().out
    for words in ("nn.Sequential", "Forward FLOP", "Smashed B", "bit for bit", "in a scenario"):
        assert words in out  # units in which 2 x (6 x 4 + 4 x 2) FLOP and 16 B have digits
    assert " 64 " in out
    assert "1 more cut is beaten" in out
    profile = load_profile(saved)
    assert (profile.name, profile.layers) == ("net", ("1", "2"))
    assert run(["profile", f"{code}:Net", "--input-shape", "6", "--all", "--json"]) == 0
    out = capsys.readouterr().out
    assert len(json.loads(out[out.index("{") :])["layers"]) == 3


@pytest.mark.slow
def test_a_shipped_model_on_shapes_alone(capsys):
    """ResNet-18 for ImageNet is counted without computing anything."""
    assert run(["profile", "resnet18", "--shapes-only", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["device_model_bytes"][-1] == 4 * 11_689_512


@pytest.mark.one_quick
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no_such_module_of_mine:Net", "--input-shape", "6"], "ModuleNotFoundError"),
        (["bad_networks.py:Net", "--input-shape", "6"], "no_such_package_of_mine"),
        (["no_file.py:Net", "--input-shape", "6"], "there is no such file"),
        (["CODE:Nett", "--input-shape", "6"], "its modules are Net, Raises, Single"),
        (["CODE:broken", "--input-shape", "6"], "cannot be built (KeyError: 'weights')"),
        (["CODE:leaves", "--input-shape", "6"], "cannot be built (SystemExit: 3)"),
        (["CODE:number", "--input-shape", "6"], "gives a int and not a torch.nn.Module"),
        (["CODE:CODE", "--input-shape", "6"], "there is no 'CODE'"),
        (["CODE:Net"], "--input-shape is missing"),
        (["CODE:Net", "--input-shape", "6,"], "must be whole numbers >= 1"),
        (["CODE:Net", "--input-shape", "7"], "cannot take the example input (2, 7)"),
        (["CODE:Pair", "--input-shape", "6"], "a function gives them (--example FILE.py:FUNCTION)"),
        (["CODE:Net", "--input-shape", "6", "--input-dtype", "text"], "'text' is unknown"),
        (["CODE:Net", "--input-shape", "6", "--classes", "3"], "--classes is for shipped models"),
        (["CODE:Raises", "--input-shape", "6"], "ZeroDivisionError: inside forward"),
        (["CODE:Single", "--input-shape", "6"], "no cut was found"),
        (["CODE:Net", "--input-shape", "6", "--stages", "0,9"], "'9' is no submodule"),
        (["CODE:Net", "--input-shape", "6", "-o", "net.txt"], "a name that ends in .json"),
        (["resnet19"], "did you mean 'resnet18'"),
        (["my.module"], "write MODULE:FACTORY"),
    ],
)
def test_mistakes_are_one_sentence(capsys, code, arguments, words):
    """Exit 2, one line, no traceback, also when the user's own code raises."""
    target = [item.replace("CODE:", f"{code}:") for item in arguments]
    assert run(["profile", *target]) == 2
    err = capsys.readouterr().err
    assert len(err.strip().splitlines()) == 1
    assert err.startswith("splitopt: error: ")
    assert words in err
