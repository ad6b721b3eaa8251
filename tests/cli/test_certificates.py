"""``splitopt certificates``: what it writes, and what it says of wrong arguments."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("cryptography", reason="needs the extra 'tls'")

import splitopt
from splitopt import Scenario
from splitopt.cli.entry import run
from splitopt.training.wire.transport.tls import Tls


def test_the_parties_of_plans(tmp_path, capsys):
    """One for each rank, in the order of the ranks: devices, or owners and then nodes."""
    owners = [f"owner-{n}" for n in (1, 2, 3, 4)]
    for name, parties in (
        ("digits-splitfed", ["fast-1", "fast-2", "slow", "far"]),
        ("digits-pipeline", [*owners, "large", "small"]),
    ):
        path, folder = tmp_path / f"{name}.json", tmp_path / name
        splitopt.plan(Scenario.load(name)).save(path)
        assert run(["certificates", str(path), "-o", str(folder)]) == 0
        said = capsys.readouterr().out
        for rank, party in enumerate(["rank-0", *parties]):
            files = [folder / f"rank-{rank}.{kind}" for kind in ("pem", "key")]
            assert Tls.load(*files, folder / "ca.pem").name == party
            assert f"rank {rank}: {folder}/rank-{rank}.pem and .key, for '{party}'" in said


def test_a_fed_server_gets_one_too(tmp_path, capsys):
    """It is the last rank; no plan but one of SplitFed has one."""
    path, folder = tmp_path / "plan.json", tmp_path / "set"
    splitopt.plan(Scenario.load("digits-splitfed"), scheme="splitfed_v1").save(path)
    assert run(["certificates", str(path), "--fed-server", "-o", str(folder)]) == 0
    own = Tls.load(folder / "rank-5.pem", folder / "rank-5.key", folder / "ca.pem")
    assert own.name == "fed"
    splitopt.plan(Scenario.load("digits-clusters")).save(path)
    for given in ([str(path)], ["--names", "a"]):
        assert run(["certificates", *given, "--fed-server", "-o", str(tmp_path / "no")]) == 2
    said = capsys.readouterr().err
    assert "fed_server: is for splitfed_v1 and splitfed_v2, and this plan is of clustered" in said
    assert "--fed-server: needs a plan" in said


def test_names_without_a_plan(tmp_path, capsys):
    """As JSON the paths of what was written."""
    folder = tmp_path / "set"
    assert run(["certificates", "--names", "a, b c", "-o", str(folder), "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert sorted(written) == sorted(str(path) for path in folder.iterdir())
    own = Tls.load(folder / "rank-2.pem", folder / "rank-2.key", folder / "ca.pem")
    assert own.name == "b c"


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        ((), 2, "certificates need either a plan file or --names"),
        (("plan.json", "--names", "a"), 2, "need either a plan file or --names"),
        (("none.json",), 2, "none.json: there is no such file"),
        (("--names", "a,"), 2, "--names: '' must have 1 to 64 printable characters"),
        (("--names", "a", "--days", "0"), 2, "--days: is 0"),
    ],
)
def test_wrong_arguments(tmp_path, monkeypatch, capsys, flags, code, words):
    """One sentence, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    assert run(["certificates", *flags, "-o", "set"]) == code
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file(tmp_path, capsys):
    """Or that has such files already."""
    place = tmp_path / "file"
    place.write_text("x")
    assert run(["certificates", "--names", "a", "-o", str(place)]) == 2
    assert "cannot be made a folder" in capsys.readouterr().err
    (tmp_path / "token").write_text("mine")
    assert run(["certificates", "--names", "a", "-o", str(tmp_path)]) == 2
    assert "token: is there already; take another folder, or --force" in capsys.readouterr().err
    assert (tmp_path / "token").read_text() == "mine"
    assert not (tmp_path / "ca.pem").exists()
