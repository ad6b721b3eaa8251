"""``splitopt train``: what it prints and writes, and its exit codes."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from safetensors.torch import load_file  # noqa: E402

import splitopt  # noqa: E402
from splitopt import Scenario  # noqa: E402
from splitopt.cli.entry import run  # noqa: E402
from splitopt.training.saving import checkpoint  # noqa: E402

pytestmark = pytest.mark.train


@pytest.fixture(autouse=True)
def strict_floats():
    """PyTorch does its own arithmetic."""
    with np.errstate(all="warn"):
        yield


@pytest.fixture
def plan_file(tmp_path):
    """Return the file of a plan for a pipeline, which is solved in no time."""
    path = tmp_path / "plan.json"
    splitopt.plan(Scenario.load("digits-pipeline")).save(path)
    return path


def call(capsys, *arguments):
    code = run(["train", *map(str, arguments)])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


@pytest.mark.slow
def test_prints_and_writes(capsys, tmp_path, plan_file):
    """A table, a row per round as CSV, a page, and the weights."""
    files = {name: tmp_path / name for name in ("r.csv", "p.html", "w.safetensors")}
    code, out, err = call(
        capsys,
        *(plan_file, "--rounds", 3, "--lr", 0.1, "--momentum", 0.9, "--csv", files["r.csv"]),
        *("--plot", files["p.html"], "--save-model", files["w.safetensors"]),
    )
    assert (code, err) == (0, "")
    titles = ("trained by multihop on digits", "Trained for 3 rounds", "best test accuracy")
    for words in (*titles, "28.843"):
        assert words in out
    rows = list(csv.DictReader(files["r.csv"].read_text().splitlines()))
    assert [row["round"] for row in rows] == ["1", "2", "3"]
    assert float(rows[2]["clock_s"]) == pytest.approx(28.843, abs=1e-3)
    phases = [
        name for name in rows[0] if name.endswith("_s") and name not in ("round_s", "clock_s")
    ]
    total = sum(float(rows[0][name]) for name in phases)
    assert total == pytest.approx(float(rows[0]["round_s"]))
    page = files["p.html"].read_text()
    for words in ("<svg", "predicted time in s", "test accuracy", "Time by phase"):
        assert words in page
    assert "http:" not in page.replace("http://www.w3.org", "")
    assert "https:" not in page
    weights = load_file(files["w.safetensors"])
    wanted = splitopt.train(
        splitopt.Plan.load(plan_file),
        rounds=3,
        options=splitopt_options(learning_rate=0.1, momentum=0.9),
    ).model.state_dict()
    assert weights.keys() == wanted.keys()
    assert all(torch.equal(weights[name], wanted[name]) for name in wanted)


def splitopt_options(**values):
    """Make options without importing PyTorch when this file is collected."""
    from splitopt.training.options import Options

    return Options(**values)


@pytest.mark.slow
def test_json_is_the_run(capsys, plan_file):
    """Machines get the history; another scheme trains the same clients."""
    arguments = (plan_file, "--rounds", 2, "--scheme", "federated", "--evaluate-every", 2, "--json")
    code, out, err = call(capsys, *arguments)
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert (found["stopped"], found["rounds"]) == ("rounds", 2)
    rows = found["history"]["rounds"]
    assert [row["accuracy"] is None for row in rows] == [True, False]
    assert found["traffic_bytes"]["smashed"] == 0
    assert found["history"]["origin"]["planned_scheme"] == "multihop"


@pytest.mark.slow
def test_every_picture(capsys, tmp_path, plan_file):
    """SVG and PNG come from the same drawing."""
    for suffix, start in ((".svg", b"<svg"), (".png", b"\x89PNG")):
        path = tmp_path / f"p{suffix}"
        assert call(capsys, plan_file, "--rounds", 1, "--plot", path)[0] == 0
        assert path.read_bytes().startswith(start)


@pytest.mark.one_quick
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--rounds", "0"], 2, "rounds: is 0"),
        (["--lr", "0"], 2, "learning_rate"),
        (["--scheme", "vanilla"], 2, "multihop, u_shaped"),
        (["--scheme", "magic"], 2, "multihop, u_shaped"),
        (["--model", "lenet12"], 2, "this model"),
        (["--model", "no.such:Net"], 2, "cannot be imported"),
        (["--data", "no-such-data"], 2, "no-such-data"),
        (["--partition", "classes:11"], 2, "classes"),
        (["--plot", "p.pdf"], 2, "a plot ends in"),
        (["--csv", "missing/x.csv"], 2, "does not exist"),
        (["--resume"], 2, "resume"),
        (["--batch-norm", "off"], 2, "batch_norm"),
        (["--match", "luck"], 2, "match"),
        (["--codec", "int7"], 2, "codec: 'int7' is unknown here; known are none, fp16"),
        (["--gradient-codec", "topk"], 2, "gradient_codec: topk needs the fraction"),
        (["--codec", "int8", "--scheme", "federated"], 2, "codec: is for what crosses a cut"),
        (["--lr", "1e30", "--rounds", "2"], 1, "round 1: the loss of client owner-1 is"),
    ],
)
def test_bad_input_is_one_sentence(
    capsys, tmp_path, monkeypatch, plan_file, arguments, code, words
):
    """Nothing is written, and the exit code tells mistakes from failures."""
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    extra = ["--csv", "rows.csv"] if "--csv" not in arguments else []
    found, out, err = call(capsys, plan_file, *arguments, *extra)
    assert (found, out) == (code, "")
    assert words in err
    assert err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_plans_that_cannot_be_trained(capsys, tmp_path):
    """No decision: exit 1; a damaged file: exit 2."""
    document = Scenario.load("digits-pipeline").to_dict()
    document["nodes"][0]["memory"] = document["nodes"][1]["memory"] = "1 B"
    path = tmp_path / "none.json"
    splitopt.plan(Scenario.from_dict(document)).save(path)
    code, _, err = call(capsys, path)
    assert code == 1
    assert "nothing to train" in err
    path.write_text(path.read_text().replace("digits", "figits", 1))
    code, _, err = call(capsys, path)
    assert code == 2
    assert "does not match its hash" in err


def test_without_pytorch(capsys, monkeypatch, plan_file):
    """The sentence says how to install it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, err = call(capsys, plan_file)
    assert code == 1
    assert "training needs PyTorch, which is not installed" in err
    assert sys.modules["torch"] is torch


def test_outputs_that_get_in_each_other_s_way(capsys, tmp_path, monkeypatch, plan_file):
    """One file for two outputs, and settings of a checkpoint without one."""
    monkeypatch.chdir(tmp_path)
    for arguments, words in (
        (("--csv", "a.html", "--plot", "./a.html"), "is named for two outputs"),
        (("--checkpoint-every", 3), "checkpoint_every: needs the folder"),
    ):
        code, _, err = call(capsys, plan_file, "--rounds", 1, *arguments)
        assert code == 2
        assert words in err
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


@pytest.mark.slow
def test_signals_end_a_run_with_a_checkpoint(tmp_path, plan_file):
    """SIGTERM is taken as Ctrl-C: the rounds that are done are shown, and can be gone on from."""
    state = tmp_path / "state"
    arguments = [plan_file, "--rounds", 100_000, "--checkpoint", state]
    started = subprocess.Popen(
        [sys.executable, "-m", "splitopt", "train", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while started.poll() is None:
            if checkpoint.exists(state):
                written = json.loads((state / checkpoint.FILE).read_text())
                if written["history"]["rounds"]:
                    break
            time.sleep(0.1)
        started.send_signal(signal.SIGTERM)
        out, err = started.communicate(timeout=400)
    finally:
        started.kill()
    assert started.returncode == 130, err
    assert err == "--resume goes on from there.\n"
    assert f"Interrupted after {checkpoint.load(state).rounds} whole round" in out


@pytest.mark.slow
def test_codecs_have_flags(capsys, plan_file):
    """Both ways by the one, or each by its own; and the predicted time is that of what travels."""
    sent, times = {}, {}
    for flags in ([], ["--codec", "fp16"], ["--codec", "fp16", "--gradient-codec", "none"]):
        code, out, err = call(capsys, plan_file, "--rounds", 1, *flags, "--json")
        assert (code, err) == (0, "")
        found = json.loads(out)
        key = " ".join(flags)
        sent[key] = found["traffic_bytes"]["smashed"], found["traffic_bytes"]["gradient"]
        times[key] = found["clock_s"]
    up, down = sent[""]
    assert sent["--codec fp16"] == (up / 2, down / 2)
    assert sent["--codec fp16 --gradient-codec none"] == (up / 2, down)
    assert times["--codec fp16"] < times["--codec fp16 --gradient-codec none"] < times[""]
