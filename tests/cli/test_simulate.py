"""``splitopt simulate``: what it prints and writes, and its exit codes."""

from __future__ import annotations

import json

import pytest

import splitopt
from splitopt import Scenario, Timeline
from splitopt.cli.entry import run


@pytest.fixture
def plan_file(tmp_path, scenario_document):
    """Return the file of a plan for three devices."""
    path = tmp_path / "plan.json"
    splitopt.plan(Scenario.from_dict(scenario_document)).save(path)
    return path


def call(capsys, *arguments):
    code = run(["simulate", *map(str, arguments)])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


@pytest.mark.slow
def test_prints_and_writes(capsys, tmp_path, plan_file):
    """A summary on the screen, the tasks as JSON and CSV, and a chart."""
    files = [tmp_path / name for name in ("t.json", "t.csv", "g.svg")]
    code, out, err = call(capsys, plan_file, "-o", files[0], "--csv", files[1], "--gantt", files[2])
    assert (code, err) == (0, "")
    for words in ("Simulated a round", "Sets the pace", "Eq. 12", "0 %", "uplink", "3 x device"):
        assert words in out
    timeline = Timeline.load(files[0])
    assert len(files[1].read_text().splitlines()) == len(timeline) + 1
    assert files[2].read_text().startswith("<svg")


def test_json_is_the_summary(capsys, plan_file):
    """Machines get the same numbers; noise changes them."""
    code, out, _ = call(capsys, plan_file, "--json")
    exact = json.loads(out)
    assert code == 0
    assert exact["forecasts"][0]["relative_error"] == pytest.approx(0, abs=1e-9)
    assert {row["name"] for row in exact["resources"]} >= {"downlink", "uplink", "server"}
    _, out, _ = call(capsys, plan_file, "--json", "--noise", "0.5", "--seed", "2")
    noisy = json.loads(out)
    assert noisy["simulated_s"] != exact["simulated_s"]
    assert noisy["origin"]["noise"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--gantt", "g.pdf"], "ends in .html"),
        (["--noise", "-1"], "noise"),
        (["--gantt", "g.svg", "--from", "-3"], "from"),
        (["-o", "missing/t.json"], "does not exist"),
    ],
)
def test_bad_input_is_refused(capsys, tmp_path, monkeypatch, plan_file, arguments, words):
    """One sentence, exit code 2, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    code, _, err = call(capsys, plan_file, *arguments)
    assert code == 2
    assert words in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plan.json"]


def test_a_plan_without_an_answer_is_exit_code_1(capsys, tmp_path, scenario_document):
    """There is nothing to simulate, and the message says why."""
    scenario_document["privacy"] = {"leakage_limit": 0.0}
    path = tmp_path / "plan.json"
    splitopt.plan(Scenario.from_dict(scenario_document)).save(path)
    code, _, err = call(capsys, path)
    assert code == 1
    assert "nothing to simulate" in err
    assert "leakage limit" in err


def test_a_file_that_is_no_plan_is_exit_code_2(capsys, tmp_path):
    path = tmp_path / "plan.json"
    path.write_text("{}")
    code, _, err = call(capsys, path)
    assert code == 2
    assert "format" in err
