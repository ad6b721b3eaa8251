"""The verbs of the first hour: init, profiles, scenarios, doctor, completion."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import typer

from splitopt import Scenario, load_profile
from splitopt.cli import diagnosing, init
from splitopt.cli.entry import run
from splitopt.profiles import profile_names
from splitopt.scenario import scenario_names


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_init_writes_what_plan_takes(folder, capsys):
    """By flags, and the sentence says how to go on."""
    assert run(["init", "fleet.yaml", "--kind", "star", "--devices", "4"]) == 0
    assert "next: splitopt plan fleet.yaml" in capsys.readouterr().err
    assert Scenario.load("fleet.yaml").device_count() == 4
    assert Scenario.load("fleet.yaml").name == "fleet"
    assert run(["plan", "fleet.yaml"]) == 0


def test_init_overwrites_nothing_unless_it_is_asked_to(folder, capsys):
    """The file stays byte for byte."""
    Path("scenario.yaml").write_text("mine")
    assert run(["init"]) == 2
    assert "--force overwrites it" in capsys.readouterr().err
    assert Path("scenario.yaml").read_text() == "mine"
    assert run(["init", "--force"]) == 0
    assert Scenario.load("scenario.yaml").device_count() == 10


def test_init_takes_the_flag_of_other_verbs(folder, capsys):
    """The file by ``-o`` is the file by itself; two different ones are a mistake."""
    assert run(["init", "one.yaml"]) == run(["init", "-o", "two.yaml"]) == 0
    one, two = ((folder / name).read_text() for name in ("one.yaml", "two.yaml"))
    assert two.replace("two", "one") == one
    assert run(["init", "three.yaml", "-o", "four.yaml"]) == 2
    assert "name one file" in capsys.readouterr().err
    assert not (folder / "three.yaml").exists()


def test_init_writes_nothing_for_what_cannot_be(folder, capsys):
    """Exit code 2, a sentence, and no file."""
    for arguments in (["--kind", "ring"], ["--model", "x"], ["--devices", "0"], ["--nodes", "2"]):
        assert run(["init", *arguments]) == 2
        assert not Path("scenario.yaml").exists()
    assert run(["init", "nowhere/scenario.yaml"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_init_asks_three_questions_on_a_terminal(folder, monkeypatch, capsys):
    """A wrong answer is explained and asked for again; what a flag says is not asked."""
    answers = iter(["ring", "pipeline", "resnet-18", "resnet18-imagenet", "many", "0", "6"])
    asked = []

    def prompt(question, default, err):
        asked.append((question, default))
        return next(answers)

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(init.typer, "prompt", prompt)
    assert run(["init"]) == 0
    err = capsys.readouterr().err
    assert "did you mean 'resnet18-imagenet'" in err
    assert "it must be a whole number" in err
    found = Scenario.load("scenario.yaml")
    assert (found.device_count(), len(found.nodes) > 0) == (6, True)
    asked.clear()
    answers = iter(["3"])
    assert run(["init", "b.yaml", "--kind", "star", "--model", "cnn-digits"]) == 0
    assert [question for question, _ in asked] == ["Devices"]


def test_ctrl_c_at_a_question_ends_it(folder, monkeypatch, capsys):
    """No file, and the exit code of an interruption."""

    def prompt(*_, **__):
        raise typer.Abort

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(init.typer, "prompt", prompt)
    assert run(["init"]) == 130
    assert not Path("scenario.yaml").exists()


def test_profiles_lists_every_shipped_one(capsys):
    """Parameters of networks as their authors' libraries count them, and the licence."""
    assert run(["profiles", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert tuple(rows) == tuple(profile_names())
    # torchvision's documentation of these weights: num_params
    assert rows["resnet18-imagenet"]["parameters"] == 11_689_512
    assert rows["resnet34-imagenet"]["parameters"] == 21_797_672
    assert rows["pipedream-vgg16"]["parameters"] == 138_357_544
    assert rows["pipedream-resnet50"]["parameters"] == 25_557_032
    assert rows["vgg19-cifar"]["license"] == "MIT"
    assert rows["dp-mora-resnet18"]["leakage"] == "guess"
    for row in rows.values():
        assert row["source"]
        assert row["license"]
    assert run(["profiles"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in rows)


def test_profiles_shows_the_cuts_of_one(capsys, tmp_path):
    """A row for every cut, of a shipped profile and of a file."""
    load_profile("cnn-digits").save(tmp_path / "own.json")
    for name in ("cnn-digits", str(tmp_path / "own.json")):
        assert run(["profiles", name, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert [cut["layer"] for cut in found["cuts"]] == list(load_profile("cnn-digits").layers)
        assert found["cuts"][1]["smashed_bytes"] == 512.0  # 8 channels of 4 x 4 in fp32
    assert run(["profiles", "resnet18-imagenet"]) == 0
    assert "layer2.1" in capsys.readouterr().out
    assert run(["profiles", "resnet-18"]) == 2
    assert "did you mean 'resnet18-imagenet'" in capsys.readouterr().err


def test_scenarios_lists_and_prints(capsys, tmp_path):
    """The list has every shipped one; the file of one is read back as it."""
    assert run(["scenarios", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == scenario_names()
    assert rows["digits-pipeline"]["problem"] == "pipeline_partition"
    assert rows["cpsl-identical"]["devices"] == 30
    assert all(row["note"] for row in rows.values())
    assert run(["scenarios"]) == 0
    assert "digits-iotsl" in capsys.readouterr().out
    assert run(["scenarios", "digits-splitfed"]) == 0
    (tmp_path / "mine.yaml").write_text(capsys.readouterr().out)
    assert Scenario.load(tmp_path / "mine.yaml") == Scenario.load("digits-splitfed")
    assert run(["scenarios", "digits-splitfd"]) == 2
    assert "did you mean 'digits-splitfed'" in capsys.readouterr().err


def test_doctor_tells_versions_and_solvers(capsys):
    """The versions are those that the installed packages state."""
    assert run(["doctor", "--json"]) in (0, 1)
    found = json.loads(capsys.readouterr().out)
    versions = {row["name"]: row["version"] for row in found["packages"]}
    assert versions["numpy"] == metadata.version("numpy")
    assert found["splitopt"] == metadata.version("splitopt")
    assert set(found["solvers"]) == {"HiGHS", "SCIP", "CP-SAT", "Gurobi"}
    assert found["processor"]["usable"] <= found["processor"]["threads"] == os.cpu_count()
    run(["doctor"])
    out = capsys.readouterr().out
    assert out.startswith("splitopt ")
    assert "Problems" in out


def test_doctor_tells_no_secret(capsys, monkeypatch, tmp_path):
    """Neither tokens nor licence files nor the name of the user's folder."""
    home = tmp_path / "home" / "alice"
    (home / "work").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SPLITOPT_TOKEN", "s3cret-token")
    monkeypatch.setenv("GRB_LICENSE_FILE", str(home / "gurobi.lic"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(home / "cache"))
    monkeypatch.setenv("GRB_WLSACCESSID", "wls-id")
    monkeypatch.chdir(home / "work")
    for arguments in (["doctor"], ["doctor", "--json"]):
        run(arguments)
        out = capsys.readouterr().out
        assert "SPLITOPT_TOKEN" in out
        assert "~/work" in out
        assert "~/cache" in out
        for word in ("alice", "s3cret", "wls-id", "gurobi.lic"):
            assert word not in out


def test_doctor_finds_what_is_wrong(monkeypatch):
    """A package that is too old, one that is missing, a full disk, too many threads."""
    found = {
        "packages": [
            {"name": "numpy", "version": "1.26", "wanted": ">=2.0", "extras": [], "fits": False},
            {"name": "scipy", "version": None, "wanted": ">=1.15", "extras": [], "fits": None},
            {
                "name": "torch",
                "version": None,
                "wanted": ">=2.6",
                "extras": ["train"],
                "fits": None,
            },
        ],
        "folders": [
            {"name": "working folder", "path": "~/x", "writable": False, "free_bytes": 2**40},
            {"name": "temporary files", "path": "/tmp", "writable": True, "free_bytes": 100},
        ],
        "environment": {"OMP_NUM_THREADS": "64"},
        "processor": {"usable": 2, "free_memory_bytes": 2**34},
        "devices": {"torch": None},
    }
    told = list(diagnosing._problems(found))
    assert "numpy 1.26 is not what splitopt wants (>=2.0)" in told[0]
    assert told[1] == "scipy is missing: pip install 'scipy>=1.15'"
    assert "cannot be written" in told[2]
    assert "less than 1 GiB left" in told[3]
    assert "OMP_NUM_THREADS is 64, and 2 processors may be used" in told[4]
    assert len(told) == 5


@pytest.mark.slow
def test_shells_complete_verbs():
    """As bash asks: the words of the line, and which of them is completed."""
    asked = {
        "_SPLITOPT_COMPLETE": "complete_bash",
        "COMP_WORDS": "splitopt sc",
        "COMP_CWORD": "1",
    }
    code = "from splitopt.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | asked,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert set(done.stdout.split()) == {"scenarios", "schema"}, done.stderr


def test_verbs_that_are_mistyped_are_proposed(capsys):
    """Each with the one that is there."""
    for words, wanted in (
        (["scenario"], "'scenarios'"),
        (["doktor"], "'doctor'"),
        (["dif"], "'diff'"),
    ):
        assert run(words) == 2
        assert f"Did you mean {wanted}?" in capsys.readouterr().err
