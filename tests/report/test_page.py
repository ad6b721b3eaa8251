"""The page of a plan: self-contained, complete and safe."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import numpy as np
import pytest

from splitopt import CutAndResources, Scenario, plan
from splitopt.report import numbers, plan_to_html
from splitopt.report.alike import with_alike_rows


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
    assert not [tag for tag, _ in page.tags if tag in ("link", "img", "iframe")]
    policy = next(held for tag, held in page.tags if held.get("http-equiv"))["content"]
    assert policy.startswith("default-src 'none';")
    assert "connect-src" not in policy
    for _, attributes in page.tags:
        for name, value in attributes.items():
            if name in ("src", "href", "xlink:href"):
                assert value.startswith("#")


def test_names_are_escaped():
    """A name that looks like markup stays text."""
    document = Scenario.generate(seed=1, devices=2).model_dump()
    document["model"] = {"profile": "dp-mora-resnet18"}
    document["devices"][0]["name"] = "<script>alert(1)</script>"
    text = plan_to_html(plan(Scenario.from_si(document)))
    assert "<script>alert" not in text
    data = next(part for part in text.split("<script ") if 'id="replan-data"' in part[:60])
    json_text = data[data.index(">") + 1 : data.index("</script>")]
    names = [group["name"] for group in json.loads(json_text)["groups"]]
    assert names[0] == "<script>alert(1)</script>"


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


def test_alike_devices_are_one_row_and_one_bar():
    """Devices of a group that do the same share a row: shares together, seconds of each."""
    made = plan(Scenario.load("examples/measured-resnet101.yaml"), objective="makespan")
    rows = with_alike_rows(made).prediction["devices"]
    assert sum(row.get("devices", 1) for row in rows) == 7
    assert len(rows) < 7
    for key in ("download_share", "upload_share", "server_share"):
        together = sum(row[key] for row in made.prediction["devices"])
        assert sum(row[key] for row in rows) == pytest.approx(together, rel=1e-12)
    page = plan_to_html(made)
    assert "pi4 (3)" in page
    assert "pi4-2" not in page


def test_the_page_says_what_is_asked_of_it():
    """Answer, advice, inputs, limits, baselines and certificate stand on it, once each."""
    made = plan(Scenario.load("dp-mora-resnet18"))
    page = plan_to_html(made, "2026-05-01")
    for words in (
        "No plan is better: that is proved",
        "What pays most is the speed of device rpi3-3",
        "7.24 GFLOP/s",
        "Who waits for whom",
        "Limits against what is used",
        "What simpler plans would take",
        "How good the plan is",
        "page of 2026-05-01",
    ):
        assert page.count(words) >= 1, words


def test_baselines_are_worse_and_computed_anew():
    """A baseline is what the problem says of its decision: here that of enumeration by hand."""
    made = plan(Scenario.load("dp-mora-resnet18"))
    problem = CutAndResources.from_scenario(Scenario.load("dp-mora-resnet18"))
    common = [
        problem.evaluate(problem.complete(np.full(10, cut)))
        for cut in range(1, 11)
        if problem.allowed[:, cut - 1].all()
    ]
    page = plan_to_html(made)
    assert f"{min(common):,.0f} s" in page
    assert min(common) > made.result["objective"]


def test_every_picture_has_a_text():
    """What is drawn has a role and a label, on the pages of plans and of timelines alike."""
    for name in ("dp-mora-resnet18", "digits-clusters"):
        page = read(plan_to_html(plan(Scenario.load(name))))
        drawn = [held for tag, held in page.tags if held.get("role") == "img"]
        assert drawn
        assert all(held["aria-label"] for held in drawn)


def test_a_proof_is_of_what_was_minimised():
    """A page that leads with the round claims nothing of it where the period was minimised."""
    page = plan_to_html(plan(Scenario.load("digits-pipeline"), objective="period"))
    assert "That is not what was minimised; for the objective period, no plan is better" in page


def test_a_pairing_leads_with_what_was_minimised():
    """The proof is of the seconds of the exchange; bars of counts are whole numbers."""
    page = plan_to_html(plan(Scenario.load("digits-iotsl")))
    assert "Exchange: 3.569 s. No plan is better" in page
    assert '<span class="end">4</span>' in page
