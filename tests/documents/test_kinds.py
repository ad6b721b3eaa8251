"""A file that is given for another says what it is, and which verb takes it."""

from __future__ import annotations

import pytest

import splitopt
from splitopt import CutAndResources, InputError, Plan, Scenario, load_problem, solve


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One file of each kind, made by the product itself."""
    folder = tmp_path_factory.mktemp("kinds")
    scenario = Scenario.load("digits-splitfed")
    scenario.save(folder / "fleet.yaml")
    scenario.save(folder / "fleet.json")
    problem = CutAndResources.from_scenario(scenario)
    problem.save(folder / "instance.json")
    problem.save(folder / "instance.npz")
    solve(problem).save(folder / "result.json")
    scenario.load_model().save(folder / "profile.json")
    splitopt.plan(scenario).save(folder / "plan.json")
    return folder


@pytest.mark.parametrize(
    ("load", "file", "words"),
    [
        (Scenario.load, "plan.json", "is a plan, which 'splitopt report'.*here a scenario"),
        (Scenario.load, "instance.json", "which 'splitopt solve' takes; here a scenario"),
        (Scenario.load, "instance.npz", "which 'splitopt solve' takes; here a scenario"),
        (Scenario.load, "profile.json", "is a model profile.*here a scenario is needed"),
        (Plan.load, "fleet.yaml", "is not JSON.*it is a scenario, which 'splitopt plan'"),
        (Plan.load, "fleet.json", "is a scenario, which 'splitopt plan'.*here a plan is needed"),
        (Plan.load, "result.json", "is a result, which 'splitopt solve' wrote; here a plan"),
        (load_problem, "plan.json", "is a plan, .*here an instance of a problem is needed"),
        (load_problem, "fleet.yaml", "it is a scenario, which 'splitopt plan'"),
    ],
)
def test_a_file_of_another_kind_says_what_it_is(files, load, file, words):
    with pytest.raises(InputError, match=words):
        load(files / file)


def test_a_shipped_scenario_is_no_plan():
    with pytest.raises(InputError, match=r"'splitopt plan digits-splitfed -o plan.json' makes"):
        Plan.load("digits-splitfed")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: x", "has no 'format: splitopt-scenario'; a scenario begins with it"),
        ("format: splitopt-scenaro\nversion: 1", "did you mean 'splitopt-scenario'"),
        ("", "must be an object"),
    ],
)
def test_a_head_that_is_wrong_is_told(tmp_path, text, words):
    (tmp_path / "file.yaml").write_text(text)
    with pytest.raises(InputError, match=words):
        Scenario.load(tmp_path / "file.yaml")
