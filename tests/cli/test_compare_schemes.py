"""`splitopt compare` as a user meets it."""

from __future__ import annotations

import json

import pytest
import yaml

from splitopt.cli.entry import run

FLEET = {
    "format": "splitopt-scenario",
    "version": 1,
    "name": "lab",
    "model": "resnet18-imagenet",
    "devices": [
        {"name": "pi", "count": 3, "compute": "20 GFLOP/s", "samples": 100, "batch_size": 10}
    ],
    "links": {"downlink": "80 Mbit/s", "uplink": "40 Mbit/s"},
    "servers": [{"name": "edge", "compute": "1 TFLOP/s"}],
}


@pytest.fixture
def scenario_file(tmp_path):
    path = tmp_path / "lab.yaml"
    path.write_text(yaml.safe_dump(FLEET))
    return path


def call(capsys, *arguments):
    """Run the command line; give exit code, standard output and standard error."""
    code = run([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


@pytest.mark.slow
def test_table_page_and_file(capsys, tmp_path, scenario_file):
    """The table names every scheme, the page draws, the file holds what `--json` prints."""
    page, saved = tmp_path / "page.html", tmp_path / "all.json"
    sweep = "links.uplink=4 Mbit/s,400 Mbit/s"
    code, out, err = call(
        capsys, "compare", scenario_file, "-o", saved, "--report", page, "--sweep", sweep
    )
    assert (code, err) == (0, "")
    for words in ("FL", "vanilla SL", "SplitFedV1", "SplitFedV2", "DP-MORA (sum)", "makespan"):
        assert words in out
    assert "MP-SL: not compared: needs the section 'nodes'" in out
    assert "The best scheme as links.uplink changes" in out
    html = page.read_text()
    assert html.startswith("<!doctype html>")
    assert html.count("<svg") == 2  # the trade-offs and the sweep
    assert "http:" not in html.replace("http://www.w3.org", "")
    assert "https:" not in html
    code, out, _ = call(capsys, "compare", scenario_file, "--json", "--sweep", sweep)
    assert code == 0
    assert json.loads(out) == json.loads(saved.read_text())
    found = json.loads(out)
    assert found["format"] == "splitopt-comparison"
    assert [s["status"] for s in found["schemes"]].count("feasible") == 6
    assert [point["value"] for point in found["sweep"]["points"]] == ["4 Mbit/s", "400 Mbit/s"]


@pytest.mark.slow
def test_two_sweeps_are_a_grid(capsys, tmp_path, scenario_file):
    """Table, page and file have every pair of values; none is dropped."""
    page = tmp_path / "grid.html"
    sweeps = ("--sweep", "links.uplink=4 Mbit/s,400 Mbit/s", "--sweep", "devices.pi.count=1,2,5")
    code, out, err = call(capsys, "compare", scenario_file, *sweeps, "--report", page)
    assert (code, err) == (0, "")
    assert "The best scheme over links.uplink (down) and devices.pi.count (across)" in out
    assert "Where the best scheme changes" in page.read_text()
    code, out, _ = call(capsys, "compare", scenario_file, *sweeps, "--json")
    points = json.loads(out)["sweep"]["points"]
    assert [point["values"] for point in points] == [
        [rate, count] for rate in ("4 Mbit/s", "400 Mbit/s") for count in (1, 2, 5)
    ]
    changed = FLEET | {
        "links": {"downlink": "80 Mbit/s", "uplink": "400 Mbit/s"},
        "devices": [FLEET["devices"][0] | {"count": 5}],
    }
    scenario_file.write_text(yaml.safe_dump(changed))
    _, out, _ = call(capsys, "compare", scenario_file, "--json")
    assert json.loads(out)["schemes"] == points[-1]["comparison"]["schemes"]


def test_rounds_to_accuracy(capsys, tmp_path, scenario_file):
    """A scheme that needs a thousand times the rounds of another one is not the best."""
    rounds = tmp_path / "rounds.yaml"
    rounds.write_text("{fl: 50, sl: 1, sflv1: 1000}\n")
    code, out, _ = call(capsys, "compare", scenario_file, "--rounds-to-accuracy", rounds, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["ranked_by"] == "accuracy_s"
    assert found["schemes"][0]["scheme"] == "sl"
    assert found["schemes"][0]["accuracy_s"] == found["schemes"][0]["round_s"]


@pytest.mark.slow
def test_baselines_are_in_table_page_and_file(capsys, tmp_path, scenario_file):
    """One option adds them everywhere, at each point of a sweep too."""
    page = tmp_path / "page.html"
    code, out, err = call(
        capsys, "compare", scenario_file, "--baselines", "--report", page,
        "--sweep", "links.uplink=4 Mbit/s,400 Mbit/s",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "SF1AF" in out
    assert "SplitNN: not compared: needs the section 'nodes'" in out
    assert "SF2 (each alone)" in page.read_text()
    code, out, _ = call(
        capsys,
        "compare",
        scenario_file,
        "--baselines",
        "--json",
        "--sweep",
        "links.uplink=4 Mbit/s",
    )
    found = json.loads(out)
    schemes = {row["scheme"] for row in found["schemes"]}
    assert {"sf1_af", "sf1_pf", "sf2", "sf2_af", "sf2_pf", "split_nn"} < schemes
    points = found["sweep"]["points"][0]["comparison"]["schemes"]
    assert {row["scheme"] for row in points} == schemes


def test_no_scheme_is_exit_1(capsys, tmp_path):
    """Devices that hold nothing: every scheme says why, and the file is still written."""
    path, saved = tmp_path / "tiny.yaml", tmp_path / "all.json"
    path.write_text(
        yaml.safe_dump(FLEET | {"devices": [FLEET["devices"][0] | {"memory": "1 KiB"}]})
    )
    code, out, _ = call(capsys, "compare", path, "-o", saved, "--report", tmp_path / "page.html")
    assert code == 1
    assert "No scheme can run on this fleet" in out
    assert "memory of pi-1" in out
    reasons = [s["reason"] for s in json.loads(saved.read_text())["schemes"]]
    assert all(reasons)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sweep", "links.uplink"], "must be FIELD=V1,V2"),
        (["--sweep", "links.uplinc=1 Mbit/s"], "uplinc"),
        (["--sweep", "a=1", "--sweep", "b=1", "--sweep", "c=1"], "two fields at once"),
        (["--sweep", "name=a", "--sweep", "name=b"], "is given twice"),
        (["--sweep", "servers.edge.compute=-3 GFLOP/s"], "above 0"),
        (["--rounds-to-accuracy", "absent.yaml"], "no such file"),
        (["--rounds-to-accuracy", "wrong.yaml"], "no scheme 'sfl'"),
        (["--rounds-to-accuracy", "baseline.yaml"], "add --baselines"),
        (["-o", "lab.yaml"], "is the input"),
    ],
)
def test_bad_input_is_exit_2(capsys, tmp_path, monkeypatch, scenario_file, arguments, words):
    """One sentence, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.yaml").write_text("sfl: 3\n")
    (tmp_path / "baseline.yaml").write_text("sf2: 3\n")
    before = scenario_file.read_text()
    code, _, err = call(capsys, "compare", "lab.yaml", *arguments)
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert words in err
    assert scenario_file.read_text() == before
