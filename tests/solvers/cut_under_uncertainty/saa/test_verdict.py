"""The words: each status says what it knows, and the numbers that would change it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from splitopt.solvers.cut_under_uncertainty.saa.verdict import (
    Settings,
    Value,
    Verdict,
    log_goal,
    relative_to,
    scale_of,
)

NAMES = ("early", "middle", "late")


def verdict(**changes):
    """Return an open verdict about `middle`: 4 % above the best at most, after 100 rounds."""
    found = Verdict(
        status="open",
        cut=1,
        rivals=(0,),
        gap_s=0.4,
        relative=0.04,
        value=Value(10.0, 9.5, 10.5),
        above={0: Value(0.1, -0.4, 3.0), 2: Value(None, 2.0, 9.0)},
        cheap=12_800,
        answered=100,
        answers=200,
        worst_s=77.0,
        nearest=0,
        settings=Settings(),
    )
    return dataclasses.replace(found, **changes)


def test_an_open_question_says_what_would_close_it():
    """Four times the tolerance takes sixteen times the rounds; 4 % would do now."""
    assert verdict().message(NAMES) == (
        "open: after 100 answered rounds middle may still be 4 % above the best cut, by early "
        "(95 % confidence, for the stated distribution, whose longest round under middle is 77 s); "
        "about 1,600 would decide at 1 %, and a tolerance of 4 % would settle it now"
    )
    assert verdict().to_dict(NAMES)["settles_at"] == 0.04


def test_a_settled_choice_names_those_that_are_as_good():
    """A tie is a result, at the tolerance."""
    said = verdict(status="settled", gap_s=0.09, relative=0.009).message(NAMES)
    assert said.startswith("middle is at most 1 % above the best cut (95 % confidence, however")
    assert said.endswith("as good as it within 1 %: early; choose among them by other criteria")


def test_a_choice_that_stands_alone_says_by_how_much():
    """The least of the sure leads, in percent of the value's lower end: 0.95 of 9.5 s."""
    alone = verdict(
        status="settled", rivals=(), gap_s=0.0, relative=0.0,
        above={0: Value(1.0, 0.95, 3.0), 2: Value(None, 2.0, 9.0)},
    )  # fmt: skip
    said = alone.message(NAMES)
    assert said.startswith("middle is the best cut (95 % confidence")
    assert said.endswith("the others take at least 10 % longer")
    assert alone.to_dict(NAMES)["left_out"] == ["early", "late"]


def test_an_exact_choice_claims_nothing_about_other_rounds():
    """Nor does it need confidence."""
    exact = verdict(status="exact", samples=30, rivals=())
    assert exact.message(NAMES, "the 30 rounds of the trace") == (
        "middle is the best cut (over the 30 rounds of the trace, exact, not a claim about other "
        "rounds)"
    )
    assert "as good as it: early" in verdict(status="exact", samples=30).message(NAMES, "x")


def test_the_small_numbers():
    """log(4 / 0.05), a scale two standard errors down but not below the least, and no scale."""
    assert log_goal(4, 0.95) == pytest.approx(np.log(80))
    assert log_goal(0, 0.95) == pytest.approx(np.log(20))
    assert scale_of(np.array([[1.0, 3.0], [5.0, 5.0]])) == pytest.approx(1.0)
    assert scale_of(np.array([[2.0, 2.0]])) == 2.0
    assert relative_to(0.0, 0.0) == 0.0
    assert relative_to(1.0, 0.0) == np.inf
