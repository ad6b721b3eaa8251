"""``splitopt train --pixel-dp-...`` and ``splitopt robustness``: what they print, write, refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("safetensors")

import splitopt
from splitopt import Scenario
from splitopt.cli.entry import run

pytestmark = pytest.mark.train
NOISE = ("--pixel-dp-after", "conv1", "--pixel-dp-epsilon", 1, "--pixel-dp-delta", 0.05)
QUICK = ("--draws", 50, "--samples", 10, "--attack-steps", 2, "--attack-draws", 2)


@pytest.fixture(autouse=True)
def strict_floats():
    """PyTorch does its own arithmetic."""
    with np.errstate(all="warn"):
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a folder with a plan, a checkpoint, weights and a page of a training with noise."""
    folder = tmp_path_factory.mktemp("trained")
    document = Scenario.load("digits-splitfed").to_dict()
    for device in document["devices"]:
        device["samples"] = 40
    splitopt.plan(Scenario.from_dict(document)).save(folder / "plan.json")
    files = ("--checkpoint", folder / "ck", "--save-model", folder / "w.safetensors")
    flags = (folder / "plan.json", "--rounds", 2, *files, "--plot", folder / "page.html")
    assert run(["train", *map(str, (*flags, *NOISE))]) == 0
    return folder


def call(capsys, *arguments):
    code = run([*map(str, arguments)])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


@pytest.mark.slow
def test_a_training_says_what_its_noise_is_worth(trained):
    page = " ".join((trained / "page.html").read_text().split())
    assert "Noisy acc. %" in page
    assert "gaussian noise behind conv1: epsilon 1, delta 0.05 of changes of one input" in page
    assert "several passes of one sample together, whose epsilons add up" in page


@pytest.mark.slow
def test_a_checkpoint_is_certified(capsys, trained, tmp_path):
    """In the terminal, as JSON and as a page, with the same numbers; the same seed repeats them."""
    files = ("-o", tmp_path / "t.json", "--report", tmp_path / "p.html")
    radii = ("--radius", "0.05,0.1")
    code, out, err = call(capsys, "robustness", trained / "ck", *QUICK, *radii, *files)
    assert (code, err) == (0, "")
    found = json.loads((tmp_path / "t.json").read_text())
    assert [row["radius"] for row in found["rows"]] == [0.05, 0.1]
    assert found["format"] == "splitopt-robustness"
    assert len(found["radii"]) == found["inputs"] == 10
    words = " ".join(out.split())
    page = " ".join((tmp_path / "p.html").read_text().split())
    for text in (words, page):
        assert "what noise behind conv1 certifies on digits" in text
        assert "up to 0.5 of 10 certificates may be false by chance" in text
        assert "which certifies nothing" in text
    code, out, _ = call(capsys, "robustness", trained / "ck", *QUICK, *radii, "--json")
    assert json.loads(out) == found


@pytest.mark.slow
def test_weights_with_the_flags_of_their_noise_are_the_same(capsys, trained):
    given = ("--weights", trained / "w.safetensors", *NOISE)
    code, out, _ = call(capsys, "robustness", "cnn", *given, *QUICK, "--json")
    assert code == 0
    _, of_checkpoint, _ = call(capsys, "robustness", trained / "ck", *QUICK, "--json")
    assert json.loads(out) == json.loads(of_checkpoint)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("cnn",), "pixel_dp_after: is missing: 'cnn' is no folder of a checkpoint"),
        (("nothing", *NOISE), "there is no shipped model 'nothing'"),
        (("cnn", *NOISE, "--data", "nothing"), "nothing"),
        (("cnn", *NOISE, "--data", "text"), "data: "),
        (("cnn", *NOISE, "--draws", 0), "draws: is 0"),
        (("cnn", *NOISE, "--radius", "big"), "--radius: is 'big'"),
        (("cnn", *NOISE, "--weights", "none.safetensors"), "none.safetensors"),
        (("cnn", *NOISE, "--model", "cnn"), "model: is for a checkpoint"),
        (("resnet18", *NOISE[2:], *("--pixel-dp-after", "layer1.0")), "before it (BatchNorm2d)"),
        (("cnn", *NOISE, "--pixel-dp-mechanism", "uniform"), "mechanism: is 'uniform'"),
        (("cnn", "--pixel-dp-epsilon", 1), "--pixel-dp-epsilon: needs --pixel-dp-after"),
    ],
)
def test_wrong_input(capsys, arguments, words):
    code, _, err = call(capsys, "robustness", *arguments)
    assert code == 2
    assert words in err


@pytest.mark.slow
def test_checkpoints_that_do_not_do(capsys, trained, tmp_path):
    code, _, err = call(capsys, "robustness", trained / "ck", *NOISE)
    assert code == 2
    assert "is a checkpoint, which has weights and a noise layer; leave others out" in err
    code, _, err = call(capsys, "robustness", trained / "ck", "--model", "lenet12")
    assert code == 2
    assert "the weights are of another model" in err
    plain = tmp_path / "plain"
    call(capsys, "train", trained / "plan.json", "--rounds", 1, "--checkpoint", plain)
    code, _, err = call(capsys, "robustness", plain)
    assert code == 2
    assert "that training had no noise layer, without which nothing is certified" in err
    code, _, err = call(capsys, "robustness", tmp_path)
    assert code == 2
    assert "there is no checkpoint" in err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((*NOISE[:2],), "--pixel-dp-epsilon: is missing"),
        (("--pixel-dp-radius", 1), "--pixel-dp-radius: needs --pixel-dp-after"),
        ((*NOISE, "--pixel-dp-epsilon", 0), "epsilon: is 0"),
        ((*NOISE, "--pixel-dp-epsilon", 3), "the classic formula of the Gaussian mechanism"),
        (("--nopeek", -1), "nopeek: is -1.0"),
        (("--nopeek", 1, "--wire"), "nopeek: is for training in one process"),
    ],
)
def test_flags_that_do_not_do(capsys, trained, flags, words):
    code, _, err = call(capsys, "train", trained / "plan.json", "--rounds", 1, *flags)
    assert code == 2
    assert words in err
