"""The published schema of plan files, held by the package jsonschema against plans of all kinds."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from splitopt import Plan, Scenario, plan
from splitopt.scenario import scenario_names

jsonschema = pytest.importorskip("jsonschema", reason="needs the extra 'test'")

ROOT = Path(__file__).parents[2]
SLOW = ("digits-iotsl", "iotsl-mnist")


@pytest.fixture(scope="module")
def validator():
    schema = json.loads((ROOT / "docs" / "schema" / "plan.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture(scope="module")
def made():
    return plan("digits-splitfed")


@pytest.mark.one_quick
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in scenario_names()],
)
def test_plans_of_shipped_scenarios_are_valid(name, validator):
    """Of every shipped scenario."""
    validator.validate(plan(name, time_limit_s=10).to_dict())


@pytest.mark.slow
def test_every_other_kind_of_plan_is_valid(validator, made):
    """By scheme, by group, with choices, and without a decision."""
    document = Scenario.load("digits-splitfed").to_dict()
    document["devices"][0]["memory"] = "1 B"
    none = plan(document)
    assert none.decision is None
    examples = ROOT / "examples"
    for own in (
        plan("digits-splitfed", scheme="splitfed_v2"),
        plan(examples / "fleet-of-groups.yaml"),
        plan(examples / "two-servers.yaml"),
        none,
    ):
        validator.validate(own.to_dict())


@pytest.mark.one_quick
@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.pop("minor"),
        lambda d: d.update(version=2),
        lambda d: d.update(format="splitopt-scenario"),
        lambda d: d.update(more=1),
        lambda d: d.update(decision=None),
        lambda d: d.update(prediction=None),
        lambda d: d["decision"].update(problem="pipeline_partition"),
        lambda d: d["prediction"].pop("round_s"),
        lambda d: d["prediction"]["devices"][0].update(cut="2"),
        lambda d: d["prediction"].update(more=1),
        lambda d: d["result"].update(outcome="best"),
        lambda d: d["result"].update(gap=-1),
        lambda d: d["hashes"].update(result="00"),
        lambda d: d["scenario"]["devices"][0].update(speed=1),
        lambda d: d["scenario"].pop("devices"),
        lambda d: d["profile"].pop("layers"),
        lambda d: d.update(notes="none"),
    ],
)
def test_damaged_plans_are_not_valid(damage, made, validator):
    """Whatever has a wrong form is found."""
    document = copy.deepcopy(made.to_dict())
    validator.validate(document)
    damage(document)
    assert list(validator.iter_errors(document))


def test_a_file_of_version_1_0_is_migrated(validator):
    """A file that an earlier release wrote is read, and written as the present version."""
    path = ROOT / "tests" / "data" / "plans" / "digits-splitfed-1.0.json"
    old = json.loads(path.read_text())
    assert "minor" not in old
    assert list(validator.iter_errors(old))
    found = Plan.load(path)
    new = found.to_dict()
    validator.validate(new)
    assert new["minor"] == 1
    for name in ("scenario", "profile", "decision", "prediction", "result"):
        assert new[name] == old[name]
    assert Plan.from_dict(new) == found


def test_a_newer_minor_version_is_read(made):
    """Fields of the envelope that are unknown here are left out, and known ones checked."""
    document = copy.deepcopy(made.to_dict())
    document |= {"minor": 7, "written": "tomorrow"}
    document["hashes"]["written"] = "0" * 64
    assert Plan.from_dict(document) == made
    document["decision"]["cut"][0] = 1
    with pytest.raises(ValueError, match="decision: does not match its hash"):
        Plan.from_dict(document)
