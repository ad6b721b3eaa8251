"""``splitopt generate``: what it prints and writes, and its exit codes."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.cli.entry import run  # noqa: E402
from splitopt.generators import load_generator  # noqa: E402

pytestmark = pytest.mark.train
SHORT = ("--steps", "3", "--critic-steps", "1", "--batch", "8")


@pytest.fixture(autouse=True)
def strict_floats():
    """PyTorch does its own arithmetic."""
    with np.errstate(all="warn"):
        yield


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Classifiers of few steps, which know some digits all the same."""
    monkeypatch.setattr("splitopt.generators.probe.STEPS", 60)


def call(capsys, *arguments):
    code = run(["generate", *map(str, arguments)])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


@pytest.mark.slow
def test_prints_and_writes(capsys, tmp_path):
    """Work, privacy beside membership, a quality for each label; a file, a picture, a page."""
    files = {name: tmp_path / name for name in ("g.safetensors", "g.png", "g.html")}
    code, out, err = call(
        capsys,
        *("digits", *SHORT, "--classes", "3,1", "-o", files["g.safetensors"]),
        *("--grid", files["g.png"], "--report", files["g.html"], "--checkpoint", tmp_path / "c"),
    )
    assert (code, err) == (0, "")
    for words in (
        "digits: generator small of 1 x 8 x 8, 3 steps",
        "11,153 of the generator",
        "GFLOP for a step",
        "Privacy: none, no gradient was sanitised",
        "Membership inference: AUC 0.",
    ):
        assert words in out
    assert re.search(r"^ *1 +[01]\.\d{3}$", out, re.MULTILINE)
    read = load_generator(files["g.safetensors"])
    assert read.labels == (1, 3)
    assert set(read.quality) == {1, 3}
    assert files["g.png"].read_bytes().startswith(b"\x89PNG")
    assert "data:image/png;base64," in files["g.html"].read_text()
    assert "Membership inference" in files["g.html"].read_text()


@pytest.mark.slow
def test_json_and_epsilon(capsys, tmp_path):
    """The account with its reason; the same run, resumed when it is done, says the same."""
    arguments = (
        *("digits", *SHORT, "--sanitize", "sample", "--noise-multiplier", "40", "--critics", "5"),
        *("--checkpoint", tmp_path / "c", "--json"),
    )
    code, out, err = call(capsys, *arguments)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["account"]["rate"] == 0.2
    assert 0 < found["account"]["epsilon"] < 5
    assert set(found["quality"]) == {str(label) for label in range(10)}
    assert 0 <= found["membership"]["auc_by_distance"] <= 1
    code, out, _ = call(capsys, *arguments, "--resume")
    assert code == 0
    assert json.loads(out) == found


@pytest.mark.slow
def test_large_epsilons_are_called_so(capsys):
    """Beside the number stands that it protects hardly anybody, and what it leaves out."""
    code, out, _ = call(
        capsys, "digits", *SHORT, "--sanitize", "value", "--noise-multiplier", "1", "--clip", "0.01"
    )
    assert code == 0
    flat = " ".join(out.split())
    assert "which protects hardly anybody" in flat
    assert "the one critic saw all samples, so that nothing amplifies" in flat
    assert "Epsilon does not cover" in flat


def test_labels_without_tests(capsys, tmp_path):
    """Data whose test samples are of other labels say so before anything is trained."""
    images, labels = np.random.default_rng(0).random((40, 1, 8, 8)), np.arange(40) % 2
    path = tmp_path / "d.npz"
    np.savez(path, x_train=images, y_train=labels, x_test=images[::2], y_test=labels[::2])
    code, _, err = call(capsys, path, "--classes", "1", *SHORT)
    assert code == 2
    assert "has no sample to test with" in err


def test_one_label(capsys):
    """Nothing is classified, and the probe still knows it from others."""
    code, out, _ = call(capsys, "digits", *SHORT, "--classes", "7", "--samples", "40")
    assert code == 0
    assert "One label alone" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("digit",), "is neither digits"),
        (("digits", "--network", "iotsl"), "28 x 28, and these are 1 x 8 x 8"),
        (("digits", "--network", "dcgan"), "network: is 'dcgan'"),
        (("digits", "--classes", "1,x"), "--classes: is '1,x'"),
        (("digits", "--classes", "12"), "--classes: names 12"),
        (("digits", "--steps", "0"), "steps: is 0"),
        (("digits", "--sanitize", "all", "--noise-multiplier", "1"), "reading: is 'all'"),
        (("digits", "--sanitize", "batch"), "--noise-multiplier: is missing"),
        (("digits", "--noise-multiplier", "1"), "--noise-multiplier: needs --sanitize"),
        (("digits", "--clip", "2"), "--clip: needs --sanitize"),
        (("digits", "--checkpoint-every", "0"), "--checkpoint-every: is 0"),
        (("digits", "--resume"), "--resume: needs --checkpoint"),
        (("digits", "-o", "/no/such/folder/g.safetensors"), "does not exist"),
        (("digits", "--grid", "grid.jpg"), "name it .png"),
        (("digits", "--critics", "2000", *SHORT), "critics: are 2000, and there are 1438 samples"),
        (("text",), "text"),
    ],
)
def test_refusals(capsys, tmp_path, monkeypatch, arguments, words):
    """Exit code 2 and one sentence, before anything is trained."""
    monkeypatch.chdir(tmp_path)
    code, out, err = call(capsys, *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
