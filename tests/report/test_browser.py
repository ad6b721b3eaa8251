"""Pages in a browser: quiet, usable by keyboard, and their sliders agree with the solver.

Needs playwright and Debian's chromium. The rules of axe-core are checked where the environment
variable SPLITOPT_AXE names its file axe.min.js.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from benchmarks.page.fleets import changed_scenario
from splitopt import Scenario, compare_schemes, plan, simulate
from splitopt.report import plan_to_html
from splitopt.report.comparison import comparison_to_html
from splitopt.report.gantt import save_gantt

pytest.importorskip("playwright", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium"),
]
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@pytest.fixture(scope="module")
def browser():
    """Start one browser for all tests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Write a page of each kind of plan."""
    folder = tmp_path_factory.mktemp("pages")
    for name, scenario, objective, problem in (
        ("sum", "dp-mora-resnet18", "sum", None),
        ("makespan", "examples/wifi-fleet.yaml", "makespan", None),
        ("groups", "examples/fleet-of-groups.yaml", "sum", None),
        ("clusters", "digits-clusters", None, None),
        ("servers", "examples/two-servers.yaml", "sum", None),
        ("common", "digits-splitfed", "splitfed_v1", "common_cut"),
        ("pipeline", "digits-pipeline", None, None),
        ("replicas", "examples/replicas-vgg16.yaml", None, None),
        ("pairing", "digits-iotsl", None, None),
    ):
        made = plan(Scenario.load(scenario), problem=problem, objective=objective)
        (folder / f"{name}.html").write_text(plan_to_html(made))
        if name == "clusters":
            save_gantt(simulate(made), folder / "timeline.html")
    compared = compare_schemes(Scenario.load("digits-splitfed"))
    (folder / "compare.html").write_text(comparison_to_html(compared))
    return folder


@pytest.fixture
def opened(browser, pages):
    """Return a function that opens a page and records what it complains about."""
    contexts = []

    def open_page(name, width=900, theme="light"):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, bypass_csp=True
        )
        contexts.append(context)
        page = context.new_page()
        page.complaints = []
        page.on("console", lambda said: page.complaints.append(said.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on(
            "request",
            lambda asked: (
                None
                if asked.url.startswith(("file:", "data:"))
                else page.complaints.append(asked.url)
            ),
        )
        page.goto((pages / f"{name}.html").as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()


NAMES = (
    "sum", "makespan", "groups", "clusters", "servers", "common", "pipeline", "replicas", "pairing",
    "timeline", "compare",
)  # fmt: skip
WIDTHS = (390, 820, 1400)
"""CSS pixels: a phone, a tablet, a desk."""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_pages_are_quiet_fit_and_follow_the_system(opened, name, theme):
    """No message, no request, nothing wider than the window, and the colours that are asked for."""
    page = opened(name, WIDTHS[0], theme)
    assert page.complaints == []
    for _ in ("as it is read first", "everything unfolded"):
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (theme == "light")
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != paper


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_axe_finds_nothing_serious(opened, name, theme):
    """Contrast, names, roles, order: by the rules of axe-core, everything unfolded."""
    rules = os.environ.get("SPLITOPT_AXE")
    if rules is None:
        pytest.skip("SPLITOPT_AXE names no axe.min.js")
    page = opened(name, 900, theme)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    page.evaluate(Path(rules).read_text())
    found = page.evaluate("axe.run()")
    assert len(found["passes"]) > 10  # it has looked
    broken = [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]]
    assert broken == []
    page.evaluate("document.querySelector('figure [role=img]').removeAttribute('aria-label')")
    assert page.evaluate("axe.run()")["violations"]  # and would have found this


@pytest.mark.parametrize(
    ("name", "scenario", "objective"),
    [("sum", "dp-mora-resnet18", "sum"), ("makespan", "examples/wifi-fleet.yaml", "makespan")],
)
def test_sliders_agree_with_a_plan_of_the_changed_scenario(opened, name, scenario, objective):
    """Keys move sliders, and what the page then proves is what `plan` finds."""
    page = opened(name)
    before = page.inner_text("#what-if-answer")
    page.focus("#slide-uplink")
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    page.focus("#slide-device")
    page.keyboard.press("PageUp")
    page.evaluate("document.querySelectorAll('#what-if details')[0].open = true")
    page.fill("#lost-0", "1")
    page.wait_for_timeout(1500)
    seen = page.evaluate("({ change: splitopt.change, found: splitopt.found })")
    assert seen["change"]["uplink"] == pytest.approx(10**-0.1)
    assert seen["change"]["lost"][0] == 1
    change = {key: value for key, value in seen["change"].items() if value is not None}
    made = plan(changed_scenario(Scenario.load(scenario), change), objective=objective)
    assert made.result["outcome"] == "optimal"
    assert seen["found"]["bound"] <= made.result["objective"] * (1 + 1e-11)
    assert seen["found"]["value"] == pytest.approx(made.result["objective"], rel=1e-3)
    assert page.inner_text("#what-if-answer") != before
    page.click("#sliders button[type=reset]")
    page.wait_for_timeout(1500)
    assert page.inner_text("#what-if-answer") == before
    assert page.complaints == []


def test_a_limit_that_no_cut_meets_is_said(opened):
    """At its lowest, a leakage limit leaves no plan or a dearer one, as the solver says."""
    page = opened("sum")
    page.focus("#slide-leakage")
    page.keyboard.press("Home")
    page.wait_for_timeout(1500)
    found = page.evaluate("splitopt.found")
    limit = page.evaluate("splitopt.change.leakage")
    made = plan(changed_scenario(Scenario.load("dp-mora-resnet18"), {"leakage": limit}))
    assert (found["outcome"] == "infeasible") == (made.result["outcome"] == "infeasible")


def test_a_gantt_chart_zooms_by_button_and_key(opened):
    """Zooming changes what is seen, and 'Whole' brings it back."""
    page = opened("timeline")
    whole = page.get_attribute(".gantt .lane svg", "viewBox")
    page.click("text=Zoom in")
    nearer = page.get_attribute(".gantt .lane svg", "viewBox")
    assert nearer != whole
    page.focus("figure")
    page.keyboard.press("ArrowRight")
    assert page.get_attribute(".gantt .lane svg", "viewBox") != nearer
    page.click("text=Whole")
    seen = [float(x) for x in page.get_attribute(".gantt .lane svg", "viewBox").split()]
    assert seen == [float(x) for x in whole.split()]
