"""``splitopt train --dp-...``: what it prints and writes, and what it refuses."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("opacus", reason="needs the extra 'privacy'")

import splitopt
from splitopt import Scenario
from splitopt.cli.entry import run

pytestmark = pytest.mark.train


@pytest.fixture(autouse=True)
def strict_floats():
    """PyTorch does its own arithmetic."""
    with np.errstate(all="warn"):
        yield


@pytest.fixture
def plan_file(tmp_path):
    """Return the file of a plan for a few samples."""
    document = Scenario.load("digits-splitfed").to_dict()
    for device in document["devices"]:
        device["samples"] = 40
    splitopt.plan(Scenario.from_dict(document)).save(tmp_path / "plan.json")
    return tmp_path / "plan.json"


def call(capsys, *arguments):
    code = run(["train", *map(str, arguments)])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


@pytest.mark.slow
def test_prints_and_writes(capsys, tmp_path, plan_file):
    """Epsilon in the table, in words with what it leaves out, as CSV, on the page and in JSON."""
    flags = ("--rounds", 2, "--dp-clip", 1, "--dp-epsilon", 4, "--dp-delta", 0.001)
    files = {name: tmp_path / name for name in ("r.csv", "p.html")}
    code, out, err = call(
        capsys, plan_file, *flags, "--csv", files["r.csv"], "--plot", files["p.html"]
    )
    assert (code, err) == (0, "")
    words = " ".join(out.split())
    page = " ".join(files["p.html"].read_text().split())
    for text in (words, page.replace("&#39;", "'")):
        assert "Epsilon" in text
        assert "at delta 0.001, reached by" in text
        assert "the client part of the model" in text
        assert "smashed data, labels, the server's part, losses in this history" in text
        assert "what the server's part learned of a sample" in text
    rows = list(csv.DictReader(files["r.csv"].read_text().splitlines()))
    assert 3.9 < float(rows[1]["epsilon_slow"]) <= 4.0
    assert float(rows[0]["epsilon_slow"]) < float(rows[1]["epsilon_slow"])
    code, out, _ = call(capsys, plan_file, *flags, "--dp-covers", "model", "--json")
    found = json.loads(out)["history"]
    assert found["origin"]["privacy"]["server_learns"] is False
    assert set(found["rounds"][1]["epsilon"]) == {"fast-1", "fast-2", "slow", "far"}


def test_no_noise_and_test_seeds_are_no_privacy(capsys, plan_file):
    """The terminal says so."""
    _, out, _ = call(
        capsys,
        *(plan_file, "--rounds", 1, "--dp-clip", 1, "--dp-noise", 0, "--dp-delta", 0.1),
        *("--dp-insecure-test-seed", 1),
    )
    words = " ".join(out.split())
    assert "no bound, as there is no noise" in words
    assert "Delta is too large: it is not below 1/40" in words
    assert "No privacy: the noise is from a test seed" in words


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--dp-noise", 1), "--dp-noise: needs --dp-clip"),
        (("--dp-clip", 1), "noise_multiplier: and target_epsilon are alternatives"),
        (("--dp-clip", 0, "--dp-noise", 1), "clip_norm: is 0.0, it must be above 0"),
        (("--dp-clip", 1, "--dp-epsilon", -1), "target_epsilon: is -1.0, it must be above 0"),
        (("--dp-clip", 1, "--dp-noise", 1, "--codec", "int4"), "codec: is 'int4', whose scales"),
    ],
)
def test_refused_in_a_sentence(capsys, plan_file, flags, words):
    code, out, err = call(capsys, plan_file, *flags)
    assert (code, out) == (2, "")
    assert words in err
