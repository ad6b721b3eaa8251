"""Objects, paths and plain data where the public functions take a scenario, a plan or a problem."""

import json
from pathlib import Path

import numpy as np
import pytest

import splitopt
from splitopt import CutAndResources, InputError, Plan, Scenario, solve
from splitopt.planning.comparison.sweeping import sweep_field
from splitopt.planning.controller import Controller
from splitopt.report.page import plan_to_html
from splitopt.report.terminal import plan_to_terminal
from splitopt.simulation.replay import simulate_decision

TABLE = np.arange(1.0, 13.0).reshape(3, 4)
PROBLEM = CutAndResources(TABLE, TABLE, TABLE, TABLE)
NAME = "digits-splitfed"


def compare(scenario):
    return splitopt.compare_schemes(scenario, time_limit_s=1)


def export(plan):
    return splitopt.export_plan(plan, "not-there/at-all")


OF_SCENARIOS = (
    splitopt.plan,
    compare,
    Controller.start,
    CutAndResources.from_scenario,
    splitopt.PipelinePartition.from_scenario,
    splitopt.ClusterAndSpectrum.from_scenario,
    splitopt.CutUnderUncertainty.from_scenario,
)
OF_PLANS = (
    splitopt.simulate,
    splitopt.train,
    splitopt.validate,
    export,
    plan_to_html,
    plan_to_terminal,
)
ODD = (None, 3, [1], b"x", Scenario, object())


@pytest.fixture(scope="module")
def made():
    return splitopt.plan(NAME)


def test_a_scenario_is_taken_by_name_path_and_plain_data(made, tmp_path):
    scenario = Scenario.load(NAME)
    scenario.save(tmp_path / "s.yaml")
    for given in (scenario, str(tmp_path / "s.yaml"), tmp_path / "s.yaml", scenario.to_dict()):
        assert splitopt.plan(given).decision == made.decision
        assert CutAndResources.from_scenario(given).devices == len(scenario.fleet())
    assert [row.scheme for row in compare(scenario.to_dict()).rows] == [
        row.scheme for row in compare(NAME).rows
    ]
    swept = sweep_field(NAME, "links.uplink", ["10 Mbit/s"], time_limit_s=1)
    assert len(swept.comparisons) == 1


def test_a_plan_is_taken_by_path_and_plain_data(made, tmp_path):
    made.save(tmp_path / "p.json")
    wanted = splitopt.simulate(made).simulated_s
    for given in (str(tmp_path / "p.json"), tmp_path / "p.json", made.to_dict()):
        assert splitopt.simulate(given).simulated_s == wanted
        assert plan_to_html(given) == plan_to_html(made)
    with pytest.raises(InputError, match="does not match its hash"):
        splitopt.simulate(made.to_dict() | {"decision": {}})


def test_a_problem_is_taken_by_path_and_plain_data(tmp_path):
    wanted = solve(PROBLEM)
    for suffix in (".json", ".npz"):
        PROBLEM.save(tmp_path / f"i{suffix}")
        assert solve(str(tmp_path / f"i{suffix}")).objective == wanted.objective
        assert solve(tmp_path / f"i{suffix}").objective == wanted.objective
    document = json.loads((tmp_path / "i.json").read_text())
    assert solve(document).objective == wanted.objective
    replay = simulate_decision(document, wanted.decision.to_dict())
    assert replay.simulated_s == simulate_decision(PROBLEM, wanted.decision).simulated_s


@pytest.mark.parametrize("given", ODD, ids=lambda given: type(given).__name__)
@pytest.mark.parametrize("function", OF_SCENARIOS, ids=lambda f: getattr(f, "__qualname__", "?"))
def test_what_is_no_scenario_is_refused_by_its_class(function, given):
    with pytest.raises(InputError, match=r"scenario: is .*, it must be a Scenario, the path of"):
        function(given)


@pytest.mark.parametrize("given", ODD, ids=lambda given: type(given).__name__)
@pytest.mark.parametrize("function", OF_PLANS, ids=lambda f: f.__qualname__)
def test_what_is_no_plan_is_refused_by_its_class(function, given):
    with pytest.raises(InputError, match=r"plan: is .*, it must be a Plan, the path of its file"):
        function(given)


@pytest.mark.parametrize("given", ODD, ids=lambda given: type(given).__name__)
def test_what_is_no_problem_is_refused_by_its_class(given):
    with pytest.raises(InputError, match=r"problem: is .*, it must be a Problem, the path of its"):
        solve(given)


def test_an_object_of_another_class_is_refused_with_the_way_from_it(made):
    scenario, result = Scenario.load(NAME), solve(PROBLEM)
    for function, given, mend in (
        (splitopt.plan, made, r"Scenario\.from_dict\(plan\.scenario\)"),
        (splitopt.plan, PROBLEM, r"splitopt\.solve\(problem\)"),
        (solve, scenario, r"splitopt\.plan\(scenario\) answers it"),
        (solve, made, r"splitopt\.plan\(plan\.scenario\)"),
        (splitopt.simulate, result, r"splitopt\.plan\(scenario\) makes a plan"),
        (splitopt.simulate, scenario, r"splitopt\.plan\(scenario\) makes one"),
    ):
        with pytest.raises(InputError, match=mend) as caught:
            function(given)
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize("given", [None, 3, {}, b"x", PROBLEM])
@pytest.mark.parametrize("load", [splitopt.load_problem, splitopt.load_profile, Plan.load])
def test_what_is_no_path_is_refused(load, given):
    with pytest.raises(InputError, match=r"is .*, it must be the path of a file"):
        load(given)


def test_a_file_that_is_not_there_and_a_file_of_another_kind_are_named(tmp_path):
    PROBLEM.save(tmp_path / "i.json")
    for function in (splitopt.plan, solve, splitopt.simulate):
        with pytest.raises(InputError, match=r"none\.json: there is no such file"):
            function(Path("none.json"))
    for function in (splitopt.plan, splitopt.simulate):
        with pytest.raises(InputError, match=r"i\.json: is an instance of a problem"):
            function(tmp_path / "i.json")
