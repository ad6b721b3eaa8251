"""Plan files: self-contained, hashed, and refused when they were changed."""

from __future__ import annotations

import json

import pytest

from splitopt import InputError, Plan, Scenario, plan
from splitopt.planning import open_plan
from splitopt.plans import digest


@pytest.fixture(scope="module")
def made():
    return plan(Scenario.generate(seed=4, devices=3))


def test_round_trip(tmp_path, made):
    """A saved plan is read back equal, and is strict JSON."""
    path = tmp_path / "plan.json"
    made.save(path)
    assert Plan.load(path).to_dict() == made.to_dict()
    json.loads(path.read_text(), parse_constant=pytest.fail)


def test_plan_needs_no_other_file(tmp_path, made, monkeypatch):
    """Everything is rebuilt from the file alone, and promises what it promised."""
    monkeypatch.setattr("splitopt.scenario.Scenario.load_model", pytest.fail)
    made.save(tmp_path / "plan.json")
    opened = open_plan(Plan.load(tmp_path / "plan.json"))
    assert opened.problem.evaluate(opened.decision) == made.result["objective"]
    assert opened.problem.latencies(opened.decision) == pytest.approx(
        [row["round_s"] for row in made.prediction["devices"]], rel=1e-14
    )


def edited(plan_document, change):
    document = json.loads(json.dumps(plan_document))
    change(document)
    return document


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["decision"]["cut"].__setitem__(0, 1), "decision: does not match its hash"),
        (lambda d: d["profile"].update(name="x"), "profile: does not match its hash"),
        (lambda d: d["prediction"].update(round_s=1.0), "prediction: does not match its hash"),
        (lambda d: d.pop("scenario"), "scenario: this field is missing"),
        (lambda d: d.update(extra=1), "extra: this field is unknown"),
        (lambda d: d.update(version=9), "version is 9.* reads version 1; a newer release wrote it"),
        (lambda d: d.update(version=0), "version is 0.* reads version 1$"),
        (lambda d: d.update(minor="1"), "minor: is '1', it must be a whole number"),
        (lambda d: d.update(minor=-1), "minor: is -1, it must be a whole number"),
        (lambda d: d["result"].update(bound=1.0), "result: does not match its hash"),
        (lambda d: d.update(decision=[]), "decision: is .*; it must be an object"),
        (lambda d: d.update(scenario=[]), "scenario: is .*; it must be an object"),
        (lambda d: d.update(notes=[1]), r"notes\[0\]: is 1; it must be a text"),
        (lambda d: d.update(problem=3), "problem: is 3; it must be a text"),
        (lambda d: d.update(hashes={}), "hashes.scenario: this field is missing"),
        (lambda d: d["hashes"].update(profile="0" * 64), "profile: does not match its hash"),
        (lambda d: d.update(prediction=None), "decision belong together"),
        (lambda d: d["prediction"].update(round_s=float("inf")), "holds what JSON cannot write"),
        (lambda d: d["result"].update(versions=[]), "result.versions: is .*; it must be an object"),
        (lambda d: d["result"].update(outcome="best"), "result.outcome: is 'best'; it must be"),
        (lambda d: d.update(notes=["a\x1b[2J"]), r"notes\[0\]: is .* control character"),
    ],
)
def test_a_changed_plan_is_refused(made, change, words):
    """Whatever was changed in a plan file is named."""
    with pytest.raises(InputError, match=words):
        Plan.from_dict(edited(made.to_dict(), change), "plan.json")


def test_a_plan_that_promises_too_much_is_refused(made):
    """A forged objective is found by evaluating the decision again."""
    document = edited(made.to_dict(), lambda d: d["result"].update(objective=1.0))
    document["hashes"]["result"] = digest(document["result"])
    with pytest.raises(InputError, match=r"result.objective is 1.0"):
        open_plan(Plan.from_dict(document))
