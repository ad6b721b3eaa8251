"""The page of a plan: self-contained, complete and safe."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from splitopt import Scenario, plan
from splitopt.report import numbers, plan_to_html


class Collector(HTMLParser):
    """Collects tags with attributes and the text of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.words = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


def read(page):
    collector = Collector()
    collector.feed(page)
    return collector


def test_page_holds_the_plan_and_loads_nothing():
    """All devices and facts are on the page, which refers to nothing outside itself."""
    made = plan(Scenario.load("dp-mora-resnet18"))
    page = read(plan_to_html(made))
    text = " ".join(page.words)
    for row in made.prediction["devices"]:
        assert row["name"] in text
    assert "Optimal by proof" in text
    assert numbers.seconds(made.prediction["round_s"]) in text
    assert not [tag for tag, _ in page.tags if tag in ("link", "img", "iframe", "script")]
    for _, attributes in page.tags:
        for name, value in attributes.items():
            if name in ("src", "href", "xlink:href"):
                assert value.startswith("#")


def test_names_are_escaped():
    """A name that looks like markup stays text."""
    document = Scenario.generate(seed=1, devices=2).model_dump()
    document["model"] = {"profile": "dp-mora-resnet18"}
    document["devices"][0]["name"] = "<script>alert(1)</script>"
    page = read(plan_to_html(plan(Scenario.from_si(document))))
    assert not [tag for tag, _ in page.tags if tag == "script"]


def test_large_fleets_draw_only_the_slowest():
    """The chart stops at sixty devices, the table has them all."""
    made = plan(Scenario.generate(seed=1, devices=80))
    page = plan_to_html(made)
    assert "the 60 slowest devices" in page
    assert page.count("<tr>") > 80


def test_a_plan_without_a_decision_has_a_page():
    """An infeasible plan says why on its page."""
    made = plan(Scenario.generate(seed=0, devices=2, leakage_limit=0.001))
    assert "No plan (infeasible)" in plan_to_html(made)


def test_same_plan_same_page():
    """The page is the same every time."""
    made = plan(Scenario.generate(seed=1, devices=3))
    assert plan_to_html(made) == plan_to_html(made)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (36020.7, "36,021"), (123.456, "123.5"), (1.5, "1.500"), (2e-7, "2e-07")],
)
def test_seconds_are_readable(value, text):
    """Times have about five digits whatever their size."""
    assert numbers.seconds(value) == text
