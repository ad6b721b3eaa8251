"""The checker accepts true answers and rejects false ones."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from splitopt import plan, solve
from splitopt.bench.checking.submissions import CheckReport, check_submission, read_submission
from splitopt.bench.instances.best_known import BestKnown
from splitopt.bench.instances.instance import Instance
from splitopt.bench.instances.suites import find_instance
from splitopt.errors import InputError


@pytest.fixture(scope="module")
def answer(instance: Instance) -> dict[str, Any]:
    """Return the proved answer of the small instance, as a result file holds it."""
    return solve(instance.load("sum"), "enumerate").to_dict()


def known(answer: dict[str, Any], **changes: Any) -> dict[tuple[str, str, str], BestKnown]:
    """Make a table with the instance's proved value."""
    row = BestKnown(
        "cut_and_resources",
        "sum",
        "uniform-devices4-layers5-seed0",
        answer["objective"],
        answer["bound"],
        "enumerate",
        "proved",
        "a command",
    )
    row = dataclasses.replace(row, **changes)
    return {row.key: row}


def check(document: Any, instance: Instance, table: Any) -> CheckReport:
    return check_submission(read_submission(document, "mine.json"), instance, None, table)


def test_the_optimum_is_accepted(answer: dict[str, Any], instance: Instance) -> None:
    """A result that says the truth is accepted and found equal to the best known value."""
    report = check(answer, instance, known(answer))
    assert report.accepted
    assert report.value == answer["objective"]
    assert "equal to the best known value" in report.sentence
    assert "no best known value" in check(answer, instance, {}).sentence


def test_a_bare_decision_and_a_worse_answer(answer: dict[str, Any], instance: Instance) -> None:
    """A decision alone is checked as well; a worse one is told how far off it is."""
    problem = instance.load("sum")
    worse = problem.complete([problem.layers] * problem.devices)
    report = check(worse.to_dict(), instance, known(answer))
    assert report.accepted
    value = problem.evaluate(worse)
    assert report.gap_to_best_known == pytest.approx((value - answer["objective"]) / value)
    assert "above the best known value" in report.sentence


def test_an_improvement_of_an_open_value(answer: dict[str, Any], instance: Instance) -> None:
    """A better value than an open one is accepted and said to be better."""
    table = known(answer, value=2 * answer["objective"], status="open")
    report = check(answer, instance, table)
    assert report.accepted
    assert report.gap_to_best_known == pytest.approx(-0.5)
    assert "0.5 better than" in report.sentence


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"objective": 1.0}, "says the objective 1.0"),
        ({"bound": 1e9}, "is above the value"),
        ({"bound": None}, "says 'optimal' with a gap of inf"),
        ({"outcome": "no_solution"}, "yet holds a feasible decision"),
        ({"outcome": "splendid"}, "yet holds a feasible decision"),
    ],
)
def test_a_false_claim_is_rejected(
    answer: dict[str, Any], instance: Instance, change: dict[str, Any], words: str
) -> None:
    """A feasible decision with a false claim beside it is rejected for the claim."""
    report = check({**answer, **change}, instance, known(answer))
    assert not report.accepted
    assert words in report.sentence


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("download_share", [1.0, 1.0, 1.0, 1.0], "not feasible: download_share by 3"),
        ("cut", [1, 1, 1, 9], "cannot be read"),
        ("cut", [1, 1, 1], "cannot be read"),
        ("upload_share", [0.0, 0.0, 0.5, 0.5], "not feasible: device_without_a_needed_share by 2"),
    ],
)
def test_a_false_decision_is_rejected(
    answer: dict[str, Any], instance: Instance, field: str, value: list[float], words: str
) -> None:
    """What does not fit the instance is rejected with the constraint that it breaks."""
    report = check({**answer["decision"], field: value}, instance, known(answer))
    assert not report.accepted
    assert words in report.sentence


def test_beating_a_proof_is_rejected(answer: dict[str, Any], instance: Instance) -> None:
    """A value below a proved bound means that one of the two is wrong."""
    table = known(answer, value=2 * answer["objective"], bound=2 * answer["objective"])
    report = check(answer["decision"], instance, table)
    assert not report.accepted
    assert "below the proved bound" in report.sentence


def test_a_bound_above_the_best_known_value_is_rejected(
    answer: dict[str, Any], instance: Instance
) -> None:
    """A bound that only the table contradicts is found by the table."""
    problem = instance.load("sum")
    worse = solve(problem, "equal_share").to_dict()
    worse["bound"] = worse["objective"]
    worse["outcome"] = "optimal"
    report = check(worse, instance, known(answer))
    assert not report.accepted
    assert "above the best known value" in report.sentence


def test_a_plan_is_checked_against_the_published_instance(scenario_document: Any) -> None:
    """A plan file is recognised, and one for another fleet does not fit the instance."""
    from splitopt import Scenario

    made = plan(Scenario.from_dict(scenario_document)).to_dict()
    report = check(made, find_instance("dp-mora-7.2-resnet18"), {})
    assert not report.accepted
    assert "it needs 10" in report.sentence


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([1], "must be a plan, a result or a decision"),
        ({"format": "splitopt-scenario"}, "neither a plan nor a result"),
        ({"format": "splitopt-result", "decision": {}}, "bound: this field is missing"),
    ],
)
def test_what_is_no_answer_is_refused(document: Any, words: str) -> None:
    """Something else than an answer is an input error."""
    with pytest.raises(InputError, match=words):
        read_submission(document, "mine.json")
