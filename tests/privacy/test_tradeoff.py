"""Training every step with every epsilon: pairs by seed, and what of it is printed and refused."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("opacus", reason="needs the extra 'privacy'")

from splitopt import Scenario  # noqa: E402
from splitopt.cli.entry import run  # noqa: E402
from splitopt.errors import InputError  # noqa: E402
from splitopt.planning.staircase import leakage_staircase  # noqa: E402
from splitopt.privacy.tradeoff import train_stairs  # noqa: E402
from splitopt.profiles.published.traced import traced_profile  # noqa: E402
from splitopt.training.job import TrainingJob  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.privacy_options import Privacy  # noqa: E402
from splitopt.training.runner import train_job  # noqa: E402
from splitopt.training.schedule import Schedule  # noqa: E402

pytestmark = pytest.mark.train

LEAKAGE = [0.9, 0.9, 0.7, 0.7, 0.2, 0.0]


@pytest.fixture(autouse=True)
def strict_floats():
    """PyTorch does its own arithmetic."""
    with np.errstate(all="warn"):
        yield


@pytest.fixture
def scenario_file(tmp_path):
    """Return the file of a small fleet whose model has a leakage that is stated here."""
    profile = traced_profile("cnn-digits").to_dict() | {"leakage": LEAKAGE}
    (tmp_path / "cnn-digits.json").write_text(json.dumps(profile))
    document = Scenario.load("digits-splitfed").to_dict()
    document["model"] = {"file": str(tmp_path / "cnn-digits.json")}
    for device in document["devices"]:
        device["samples"] = 40
    path = tmp_path / "scenario.yaml"
    Scenario.from_dict({**document, "model": {"file": str(tmp_path / "cnn-digits.json")}}).save(
        path
    )
    return path


def call(capsys, *arguments):
    code = run(["tradeoff", *map(str, arguments)])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


@pytest.mark.slow
def test_runs_are_those_of_train(scenario_file):
    """A run without noise is the run that `train` makes of the step's plan and that seed."""
    staircase = leakage_staircase(scenario_file)
    assert len(staircase.stairs) > 1
    job = TrainingJob(staircase.stairs[0].plan, options=Options(learning_rate=0.1), seed=3)
    privacy = Privacy(1.0, target_epsilon=1.0, delta=1e-3)
    told = []
    found = train_stairs(
        staircase, job, [4.0, None], privacy, Schedule(rounds=1), 2, lambda *a: told.append(a)
    )
    assert len(told) == len(found.runs) == 4 * len(staircase.stairs)
    for number, stair in enumerate(staircase.stairs):
        for alone in found.of(number, None):
            again = TrainingJob(stair.plan, options=Options(learning_rate=0.1), seed=alone.seed)
            history = train_job(again, Schedule(rounds=1)).history
            assert alone.value == history.rows[-1].accuracy
            assert alone.clock_s == history.clock_s == pytest.approx(stair.round_s)
            assert alone.spent_epsilon is None
        for private in found.of(number, 4.0):
            assert 0 < private.spent_epsilon <= 4.0
        assert [run.seed for run in found.of(number, 4.0)] == [3, 4]


@pytest.mark.slow
def test_command_prints_and_writes(capsys, tmp_path, scenario_file):
    files = tmp_path / "t.json", tmp_path / "t.html"
    flags = [
        "--epsilon",
        "4,none",
        "--seeds",
        2,
        "--rounds",
        1,
        "--dp-clip",
        1,
        "--dp-delta",
        0.001,
    ]
    code, out, err = call(
        capsys, scenario_file, *flags, "--lr", 0.1, "-o", files[0], "--report", files[1]
    )
    assert (code, err) == (0, "")
    words = " ".join(out.split())
    said = "not of the smashed data; epsilon at delta 0.001"
    for text in ("each an optimum by proof", "epsilon 4", "no noise", said):
        assert text in words
    document = json.loads(files[0].read_text())
    assert document["format"] == "splitopt-tradeoff"
    runs = document["training"]["runs"]
    assert len(runs) == 4 * len(document["stairs"])
    # paired by seed: the table's mean difference, from the numbers of the file
    first = {(r["seed"], r["target_epsilon"]): r["value"] for r in runs if r["stair"] == 0}
    lost = [first[seed, 4.0] - first[seed, None] for seed in (0, 1)]
    half = 12.706204736 * math.sqrt((lost[0] - lost[1]) ** 2 / 2) / math.sqrt(2)
    assert f"{sum(lost) / 2:+.3f} ± {half:.3f}" in words
    page = files[1].read_text()
    assert page.count("<svg") == 3


def test_without_epsilons_nothing_is_trained(capsys, tmp_path, scenario_file):
    code, out, _ = call(capsys, scenario_file, "--report", tmp_path / "t.html", "--json")
    assert code == 0
    assert json.loads(out)["training"] is None
    assert (tmp_path / "t.html").read_text().count("<svg") == 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--rounds", 2], "--rounds: is about training, which needs --epsilon"),
        (["--dp-clip", 1], "--dp-clip: is about training, which needs --epsilon"),
        (["--epsilon", "2"], "--dp-clip: is missing"),
        (["--epsilon", "none", "--dp-clip", 1], "--epsilon asks for none"),
        (["--epsilon", "two"], "--epsilon: has 'two'"),
        (["--epsilon", "2,2", "--dp-clip", 1], "epsilons: has the same number twice"),
        (["--epsilon", "-1", "--dp-clip", 1], "epsilons: has -1.0"),
        (["--epsilon", "2", "--dp-clip", 1, "--dp-noise", 1], "--dp-noise: is what --epsilon"),
    ],
)
def test_wrong_flags(capsys, scenario_file, flags, words):
    code, _, err = call(capsys, scenario_file, *flags)
    assert code == 2
    assert words in err


def test_an_epsilon_needs_its_clip_norm(scenario_file):
    staircase = leakage_staircase(scenario_file)
    with pytest.raises(InputError, match="clip norm"):
        train_stairs(staircase, TrainingJob(staircase.stairs[0].plan), [1.0], None, Schedule())


def test_no_plan_at_all_is_infeasible(capsys, tmp_path, scenario_file):
    text = scenario_file.read_text().replace("samples: 40", "samples: 40\n  leakage_limit: 0.1", 1)
    scenario_file.write_text(text)
    profile = json.loads((tmp_path / "cnn-digits.json").read_text())
    (tmp_path / "cnn-digits.json").write_text(json.dumps(profile | {"leakage": [0.9] * 6}))
    page = tmp_path / "t.html"
    code, out, _ = call(capsys, scenario_file, "--report", page)
    assert code == 1
    assert "No plan, whatever the limit" in out
    assert "No plan, whatever the limit" in page.read_text()
