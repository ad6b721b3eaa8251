"""Results as values and as files."""

from __future__ import annotations

import json
import logging
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest

from splitopt import CutAndResources, InputError, Plan, Result, load_problem, plan, solve


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(5)
    tables = rng.uniform(1, 9, (4, 3, 5))
    return CutAndResources(*tables, np.ones((3, 5), dtype=bool))


@pytest.fixture(scope="module")
def found(problem):
    return solve(problem)


def test_round_trip(tmp_path, problem, found):
    """A saved result is read back equal, with the decision as its problem has it."""
    path = tmp_path / "result.json"
    found.save(path)
    for read in (Result.load(path), Result.load(path, problem)):
        assert read == found
        assert read.to_dict() == found.to_dict()
        assert problem.evaluate(read.decision) == found.objective
    assert type(Result.load(path, problem).decision) is type(found.decision)
    assert Result.load(path).times == found.times
    assert Result.load(path).trace == found.trace


def test_infinities_come_back(tmp_path):
    """Without a decision and a bound, null in the file is infinite again."""
    none = Result("cut_and_resources", "sum", "none", "no_solution", "time")
    none.save(tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text())["objective"] is None
    read = Result.load(tmp_path / "r.json")
    assert (read.objective, read.bound, read.gap) == (math.inf, -math.inf, math.inf)
    assert read == none


def test_an_infeasible_result_comes_back_as_it_was(tmp_path):
    """Its bound is infinite above: no decision is below anything."""
    none = solve(CutAndResources(*np.ones((4, 2, 2)), [[True, True], [False, False]]))
    assert none.outcome == "infeasible"
    none.save(tmp_path / "r.json")
    read = Result.load(tmp_path / "r.json")
    assert (read.bound, read.objective, read.message) == (none.bound, math.inf, none.message)
    assert read == none


def test_improvements_are_logged(problem, caplog):
    """One record for every point of the trace, with its numbers; nothing by default."""
    quiet = solve(problem)
    assert not caplog.records
    with caplog.at_level(logging.INFO, "splitopt.solving"):
        told = solve(problem)
    assert len(caplog.records) == len(told.trace)
    assert f"objective {told.objective:.10g}" in caplog.messages[-1]
    assert told == quiet


def test_equality_is_by_content_and_not_by_the_clock(problem, found):
    """Two runs with one seed are equal, and another decision, bound or option is not."""
    assert solve(problem) == found
    assert found != replace(found, bound=found.bound - 1)
    assert found != replace(found, options={})
    assert found != solve(problem, "equal_share")
    assert found != "found"
    with pytest.raises(TypeError):
        hash(found)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(version=2), "version is 2.*a newer release wrote it"),
        (lambda d: d.update(format="splitopt-plan"), "is a plan"),
        (lambda d: d.pop("bound"), "bound: this field is missing"),
        (lambda d: d.update(outcome="best"), "outcome: is 'best'"),
        (lambda d: d.update(decision=None), "decision: is null, but the outcome is 'optimal'"),
        (lambda d: d.update(bound=0.5), "outcome: is 'optimal', but the gap is"),
        (lambda d: d["decision"].update(cut=[9, 9, 9]), r"decision.cut\[0\]: is 9"),
        (lambda d: d.update(problem="common_cut"), "problem: is 'common_cut', not 'cut_and_res"),
        (lambda d: d.update(solver="a\x1b[2J"), "solver: is .*control character"),
    ],
)
def test_a_damaged_result_is_refused(problem, found, change, words):
    """Field, value and mend."""
    document = json.loads(json.dumps(found.to_dict()))
    change(document)
    with pytest.raises(InputError, match=words):
        Result.from_dict(document, "r.json", problem)


def test_a_result_of_other_data_is_refused(problem, found):
    """The sizes fit, but the decision is worth something else on these numbers."""
    other = CutAndResources(
        2 * problem.download_s,
        problem.upload_s,
        problem.server_s,
        problem.device_s,
        problem.allowed,
    )
    with pytest.raises(InputError, match="the result is of other data or another objective"):
        Result.from_dict(found.to_dict(), "r.json", other)


def test_the_result_of_a_plan_is_alike(tmp_path):
    """Its attributes are those of a result, of the same types; as a mapping it is plain data."""
    made = plan("digits-splitfed")
    own = solve(CutAndResources.from_scenario("digits-splitfed"))
    for name in ("solver", "outcome", "stop_reason", "message", "seed", "options", "is_feasible"):
        assert getattr(made.result, name) == getattr(own, name)
    for name in ("objective", "bound", "gap", "violations", "iterations"):
        assert getattr(made.result, name) == getattr(own, name)
        assert type(getattr(made.result, name)) is type(getattr(own, name))
    assert type(made.result.times) is type(own.times)
    assert type(made.result.trace[0]) is type(own.trace[0])
    assert made.result["outcome"] == made.result.outcome
    assert {"outcome", "gap", "times"} <= set(dir(made.result))
    public = {name for name in dir(own) if not name.startswith("_")}
    left_out = {"problem", "objective_name", "decision", "save", "load", "from_dict", "plot"}
    assert public - left_out <= set(dir(made.result))
    assert pickle.loads(pickle.dumps(made.result)) == made.result
    none = made.result.to_dict() | {"objective": None, "bound": None, "gap": None}
    read = Plan("p", "o", {}, {}, None, None, none).result
    assert (read.objective, read.bound, read.gap) == (math.inf, -math.inf, math.inf)


def test_plans_are_equal_by_content(tmp_path):
    """One made twice is equal, and so is its file; another solver makes another plan."""
    made = plan("digits-splitfed")
    made.save(tmp_path / "p.json")
    assert Plan.load(tmp_path / "p.json") == made == plan("digits-splitfed")
    assert made != plan("digits-splitfed", solver="equal_share")


def test_problems_are_equal_by_content(tmp_path, problem):
    """Whatever made them; other data, another objective and another class are not equal."""
    for name in ("p.json", "p.npz"):
        problem.save(tmp_path / name)
        assert load_problem(tmp_path / name) == problem
        assert hash(load_problem(tmp_path / name)) == hash(problem)
    assert problem.with_objective("makespan") != problem
    assert problem != 3
    assert CutAndResources.from_scenario("digits-splitfed") != problem


def test_who_asks_for_words_is_told_where_they_are(problem):
    """No solver has such an option, since all are told by one logger."""
    with pytest.raises(InputError, match=r"no option 'verbose'.*logger 'splitopt.solving'"):
        solve(problem, verbose=True)
