"""A plan comes back from its exports as it was, and only as it was."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest

from splitopt import Plan, Scenario, plan
from splitopt.cli.entry import run
from splitopt.errors import InputError
from splitopt.export import export_plan, import_plan
from splitopt.export.importing import HOLD_PLANS


@pytest.fixture(scope="module")
def made():
    return plan(Scenario.load("digits-splitfed"))


def federated():
    """Return a fleet that Plato can train: alike devices, and the LeNet-5 that it has."""
    document = Scenario.load("digits-splitfed").to_dict()
    device = {**document["devices"][0], "count": 3, "samples": 600, "batch_size": 32}
    model = {"model": "lenet5-fashion-mnist", "devices": [device]}
    return document | model | {"data": {"source": "fashion-mnist"}}


@pytest.fixture(scope="module")
def folder(made, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "compose"
    export_plan(made, path, to="compose")
    return path


@pytest.mark.one_quick
@pytest.mark.parametrize("to", HOLD_PLANS)
def test_each_format_that_holds_a_plan_gives_it_back(tmp_path, made, to):
    """Scenario, profile, decision, prediction, result and notes."""
    if to in ("torch-pipelining", "flower", "nvflare", "ray"):
        pytest.importorskip("torch", reason="needs the extra 'train'")
    if to in ("pipeedge", "mp-sl"):
        document = Scenario.load("digits-pipeline").to_dict()
        document["links"].pop("nodes")
        made = plan(Scenario.from_dict(document) if to == "mp-sl" else "digits-pipeline")
    if to == "mp-sl":
        pytest.importorskip("xlsxwriter", reason="needs the extra 'xlsx'")
    if to == "plato":
        made = plan(Scenario.from_dict(federated()), problem="common_cut", objective="federated")
    export_plan(made, tmp_path / "out", to=to)
    assert import_plan(tmp_path / "out") == made
    assert run(["import", str(tmp_path / "out"), "-o", str(tmp_path / "plan.json")]) == 0
    assert Plan.load(tmp_path / "plan.json") == made


def test_what_is_no_whole_export_is_refused(tmp_path, capsys, made, folder):
    """In one sentence each, and nothing is written."""
    export_plan(made, tmp_path / "tables", to="csv")
    (tmp_path / "empty").mkdir()
    for name, text in (("list", "[]"), ("short", '{"plan": {}, "files": {}}'), ("no", "{")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "export.json").write_text(text)
    for name, words in (
        ("tables", "holds no whole plan; exports to torch-pipelining, flower, nvflare, ray"),
        ("empty", "is no export, which has parts.json or export.json"),
        ("gone", "there is no such folder or file"),
        ("list", "is no manifest of an export"),
        ("short", "is no manifest of an export"),
        ("no", "is not JSON"),
    ):
        code = run(["import", str(tmp_path / name), "-o", str(tmp_path / "plan.json")])
        assert (code, words in capsys.readouterr().err) == (2, True), name
    assert not (tmp_path / "plan.json").exists()
    assert import_plan(folder / "export.json") == made


def test_a_plan_that_was_changed_is_refused(tmp_path, made, folder):
    """Whether the file was changed alone, with its manifest, or for another whole plan."""
    for name in ("bytes", "part", "other"):
        shutil.copytree(folder, tmp_path / name)

    def seal(name, text):
        place = tmp_path / name
        (place / "plan.json").write_text(text)
        manifest = json.loads((place / "export.json").read_text())
        manifest["files"]["plan.json"] = hashlib.sha256(text.encode()).hexdigest()
        (place / "export.json").write_text(json.dumps(manifest))

    text = (folder / "plan.json").read_text()
    (tmp_path / "bytes" / "plan.json").write_text(text.replace('"seed": 0', '"seed": 1'))
    with pytest.raises(InputError, match="is not the plan that was exported, its SHA-256"):
        import_plan(tmp_path / "bytes")
    seal("part", text.replace('"samples": 320', '"samples": 321'))
    with pytest.raises(InputError, match="scenario: does not match its hash"):
        import_plan(tmp_path / "part")
    other = plan(Scenario.load("digits-splitfed"), objective="makespan")
    seal("other", json.dumps(other.to_dict()))
    with pytest.raises(InputError, match=r"plan.hash: is '[0-9a-f]*', which is another plan's"):
        import_plan(tmp_path / "other")
    (tmp_path / "other" / "plan.json").unlink()
    with pytest.raises(InputError, match="there is no such file"):
        import_plan(tmp_path / "other")
