"""What consoles and notebooks show: short, escaped, and the numbers of the value."""

from __future__ import annotations

import html
import importlib.util
from html.parser import HTMLParser

import numpy as np
import pytest

from splitopt import (
    CapabilityError,
    CutAndResources,
    Scenario,
    compare_schemes,
    load_profile,
    plan,
    simulate,
    solve,
)
from splitopt.report.notebook import MOST_ROWS
from splitopt.training.history import History
from splitopt.training.round_row import RoundRow

EVIL = "<script>alert(1)</script> & 'a' \"b\""


class Balanced(HTMLParser):
    """Tags that are open, and all text between them; every tag must be closed by its own."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.words = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.tags.append(tag)
        assert not {name for name, _ in attributes} - {"style", "colspan"}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def history():
    rows = [
        RoundRow(
            round=n,
            loss=1.0 / n,
            test_loss=2.0 / n,
            accuracy=0.5 + n / 100,
            samples=9,
            clock_s=3.0 * n,
        )
        for n in range(1, 31)
    ]
    return History(tuple(rows), {"plan": EVIL})


@pytest.fixture(scope="module")
def evil():
    """Return a scenario whose name and devices are HTML."""
    document = Scenario.load("digits-splitfed").to_dict()
    document["name"] = EVIL
    document["note"] = EVIL
    document["devices"][0]["name"] = "<b>fast</b>"
    return Scenario.from_dict(document)


@pytest.fixture(scope="module")
def values(evil):
    made = plan(evil)
    problem = CutAndResources.from_scenario(evil)
    return {
        "Scenario": evil,
        "Plan": made,
        "PlanResult": made.result,
        "CutAndResources": problem,
        "Result": solve(problem),
        "Comparison": compare_schemes(evil),
        "ModelProfile": load_profile("cnn-digits"),
        "History": history(),
    }


KINDS = (
    "Scenario",
    "Plan",
    "PlanResult",
    "CutAndResources",
    "Result",
    "Comparison",
    "ModelProfile",
    "History",
)


@pytest.mark.parametrize("kind", KINDS)
def test_html_is_whole_escaped_and_quiet(values, kind):
    """Every tag is closed, names are text, and there is neither script nor outside reference."""
    found = values[kind]._repr_html_()
    parsed = Balanced(found)
    assert set(parsed.tags) <= {
        *("div", "strong", "table", "tbody", "thead", "caption", "tr", "th", "td", "p")
    }
    assert "<script" not in found
    assert "http" not in found
    if kind in ("Scenario", "Plan", "Comparison"):
        assert html.escape(EVIL) in found
        assert EVIL in "".join(parsed.words)


@pytest.mark.parametrize("kind", KINDS)
def test_repr_is_a_short_line_and_str_a_screen(values, kind):
    """One line of at most 200 characters; at most 60 lines."""
    value = values[kind]
    assert repr(value).startswith(f"<{kind} ")
    assert "\n" not in repr(value)
    assert len(repr(value)) <= 200
    assert 3 <= len(str(value).splitlines()) <= 60


def test_large_fleets_stay_one_screen():
    """Of fifty devices twenty rows are shown, and how many are left."""
    scenario = Scenario.generate(seed=1, devices=50)
    made = plan(scenario)
    for value in (scenario, made):
        assert len(repr(value)) < 200
        assert len(str(value).splitlines()) < MOST_ROWS + 30
        assert len(value._repr_html_()) < 30_000
    assert "30 more" in str(made)
    assert "30 more" in str(scenario)
    assert "30 more" in scenario._repr_html_()


def test_text_holds_the_numbers(values):
    """Verdict, device rows, and values as they are in the value."""
    made = values["Plan"]
    assert f"{made.result.objective:,.7g}" in str(made)
    assert all(row["name"] in str(made) for row in made.prediction["devices"])
    assert "proved" in str(values["Result"])
    assert "6,058" in str(values["ModelProfile"])
    assert "80 %" in str(values["History"]) or "0.8 in round 30" in str(values["History"])


def test_frames_have_the_numbers(values):
    """As pandas has them: rows, columns, and values."""
    pytest.importorskip("pandas", reason="needs the extra 'frames'")
    made = values["Plan"]
    frame = made.to_frame()
    assert list(frame["name"]) == [row["name"] for row in made.prediction["devices"]]
    assert frame["round_s"].max() == made.prediction["round_s"]
    assert frame["upload_share"].sum() == pytest.approx(1.0)
    profile = values["ModelProfile"]
    assert np.array_equal(profile.to_frame()["smashed_bytes"], profile.smashed_bytes)
    rounds = values["History"].to_frame()
    assert list(rounds["round"]) == list(range(1, 31))
    assert rounds["accuracy"].iloc[-1] == pytest.approx(0.8)
    result = values["Result"]
    assert list(result.to_frame()["objective"]) == [point.objective for point in result.trace]
    assert len(values["Comparison"].to_frame()) == len(values["Comparison"].rows)
    devices = values["Scenario"].to_frame()
    assert list(devices["compute"]) == [3e6, 1e6, 4e6]
    assert devices["uplink.rate"].iloc[-1] == 200e3
    timeline = simulate(made).timeline
    assert len(timeline.to_frame()) == len(timeline)


def test_without_pandas_it_is_said_what_to_install(values, monkeypatch):
    """A capability that is not there, not a traceback."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "pandas" else find(name)
    )
    for kind in ("Scenario", "Plan", "Result", "Comparison", "ModelProfile", "History"):
        with pytest.raises(CapabilityError, match=r"pip install 'splitopt\[frames\]'"):
            values[kind].to_frame()


def test_a_plan_without_a_decision_is_shown():
    """It says why there is none."""
    document = Scenario.load("digits-splitfed").to_dict()
    document["devices"][0]["memory"] = "1 B"
    none = plan(document)
    assert "infeasible" in repr(none)
    assert "No plan (infeasible)" in str(none)
    assert none.rows() == []
    Balanced(none._repr_html_())


@pytest.mark.parametrize("name", ["digits-pipeline", "digits-clusters", "cpsl-identical"])
def test_plans_of_other_problems_are_shown(name):
    """Text and HTML of any problem."""
    made = plan(name)
    assert name in str(made)
    Balanced(made._repr_html_())
