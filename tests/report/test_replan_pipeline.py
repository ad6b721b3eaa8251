"""The script that plans pipelines anew, held against the solver on the changed problem."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.resources import files

import numpy as np
import pytest

import splitopt
from splitopt import PipelinePartition, Scenario, plan, solve
from splitopt.problems.pipeline_partition import PipelinePartitionDecision
from splitopt.report.page import plan_to_html
from splitopt.report.replanning import replanning
from splitopt.report.replanning_pipeline import why_no_pipeline

node = pytest.mark.skipif(shutil.which("node") is None, reason="there is no node to run JavaScript")
_RUN = """
const Pipeline = require(process.argv[1]);
const [data, asked] = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(asked.map(change => {
  const pipe = Pipeline.changed(data, change), found = Pipeline.solve(pipe);
  if (found.stops) found.assignment = Pipeline.assignment(found.stops);
  found.kept = Pipeline.scored(pipe, Pipeline.runsOf(data.assignment)).value;
  return found;
})));
"""


def replanned(data, changes):
    """Return what the script makes of changes of one page's data, run by node."""
    script = files("splitopt.report").joinpath("assets", "pipeline.js")
    done = subprocess.run(
        ["node", "-e", _RUN, str(script)],
        input=json.dumps([data, changes]),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return json.loads(done.stdout)


def fleet(rng, model, kinds=2, order="free", use_all=False, shared=False, memory=None):
    """Return a pipeline of a few nodes, some alike, with links of a model."""
    document = Scenario.load("digits-pipeline").to_dict()
    document["model"] = "alexnet-fashion-mnist"
    owner = {**document["devices"][0], "compute": "2 GFLOP/s"}
    document["devices"] = [
        {**owner, "name": f"o{k}", "count": int(rng.integers(1, 4)), "samples": 64 * (k + 1)}
        for k in range(2)
    ]
    speeds = 10 ** rng.uniform(8.5, 10, kinds)
    document["nodes"] = [
        {
            "name": f"n{k}",
            "count": int(rng.integers(1, 3)),
            "compute": f"{speed:.6g} FLOP/s",
            **({} if memory is None else {"memory": memory}),
            **(
                {"rate": f"{rng.uniform(20, 500):.4g} Mbit/s"} if model in ("nic", "serial") else {}
            ),
        }
        for k, speed in enumerate(speeds)
    ]
    links = {"downlink": "200 Mbit/s", "uplink": "100 Mbit/s", "shared": shared}
    duplex = str(rng.choice(["full", "half"]))
    if model == "pairwise":
        rates = [
            [
                None
                if a == b and document["nodes"][a]["count"] == 1
                else f"{rng.uniform(20, 500):.4g} Mbit/s"
                for b in range(kinds)
            ]
            for a in range(kinds)
        ]
        links["nodes"] = {"model": model, "rates": rates, "duplex": duplex}
    elif model in ("nic", "serial"):
        links["nodes"] = {"model": model, "duplex": duplex, "latency": "1 ms"}
    elif model == "uniform":
        links["nodes"] = {"model": model, "rate": "100 Mbit/s", "duplex": duplex, "latency": "2 ms"}
    document["links"] = links
    document["pipeline"] = {
        **{"first_cut": 1, "last_cut": 14},
        **{"order": order, "use_all_nodes": use_all},
    }
    return document


def scaled(text, factor):
    number, unit = text.split()
    return f"{float(number) * factor!r} {unit}"


def changed(document, change):
    """Return the scenario with speeds and rates as the sliders have them."""
    found = json.loads(json.dumps(document))
    for entry, own in zip(found["nodes"], change["entries"], strict=True):
        entry["compute"] = scaled(entry["compute"], own * change["nodes"])
        if "rate" in entry:
            entry["rate"] = scaled(entry["rate"], change["links"])
    links = found["links"]
    for way in ("uplink", "downlink"):
        links[way] = scaled(links[way], change[way])
    between = links.get("nodes", {})
    if "rate" in between:
        between["rate"] = scaled(between["rate"], change["links"])
    if "rates" in between:
        between["rates"] = [
            [None if rate is None else scaled(rate, change["links"]) for rate in row]
            for row in between["rates"]
        ]
    for device in found["devices"]:
        device["compute"] = scaled(device["compute"], change["owners"])
    return Scenario.from_dict(found)


def random_change(rng, kinds):
    names = ("nodes", "links", "uplink", "downlink", "owners")
    made = {name: float(10 ** rng.uniform(-1, 1)) for name in names}
    return {**made, "entries": [float(10 ** rng.uniform(-1, 1)) for _ in range(kinds)]}


def held_against_the_solver(document, objective, changes, seed=0):
    """Check random changes one by one; return how many had another partition than the plan."""
    scenario, rng = Scenario.from_dict(document), np.random.default_rng(seed)
    made = plan(scenario, objective=objective)
    if not made.is_feasible:
        return 0
    data = replanning(made).data
    assert data is not None
    kinds = len(document["nodes"])
    same = {**dict.fromkeys(("nodes", "links", "uplink", "downlink", "owners"), 1.0)}
    asked = [
        same | {"entries": [1.0] * kinds},
        *(random_change(rng, kinds) for _ in range(changes)),
    ]
    moved = 0
    for change, found in zip(asked, replanned(data, asked), strict=True):
        problem = PipelinePartition.from_scenario(changed(document, change), objective=objective)
        best = solve(problem)
        assert best.outcome == found["outcome"] == "optimal"
        decision = PipelinePartitionDecision(np.array(found["assignment"]))
        assert not problem.violations(decision)
        assert problem.evaluate(decision) == pytest.approx(found["value"], rel=1e-10)
        assert found["value"] == pytest.approx(best.objective, rel=1e-9)
        assert found["bound"] <= best.objective * (1 + 1e-11)
        kept = PipelinePartitionDecision(np.array(made.decision["assignment"]))
        assert found["kept"] == pytest.approx(problem.evaluate(kept), rel=1e-10)
        moved += found["assignment"] != made.decision["assignment"]
    return moved


MODELS = ("none", "uniform", "pairwise", "nic", "serial")


@pytest.mark.one_quick
@node
@pytest.mark.parametrize("model", MODELS)
def test_changes_are_answered_as_the_solver_does(model):
    """Every link model: value, floor and partition are those of the changed problem."""
    rng = np.random.default_rng(7)
    moved = 0
    for objective in ("round", "period"):
        document = fleet(rng, model, shared=objective == "round", use_all=objective == "period")
        moved += held_against_the_solver(document, objective, 4)
    assert moved > 0


@node
@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kinds", [1, 3])
@pytest.mark.parametrize(
    "choices", [{}, {"order": "given"}, {"use_all": True}, {"memory": "40 MB"}]
)
def test_many_changes_of_many_pipelines(model, kinds, choices):
    """In a free or given order, with idle nodes and without, and with memory that limits."""
    rng = np.random.default_rng(kinds)
    for seed in range(3):
        document = fleet(rng, model, kinds, shared=bool(seed % 2), **choices)
        count = sum(entry["count"] for entry in document["nodes"])
        if choices.get("use_all") and count > 4:
            continue
        for objective in ("round", "period"):
            held_against_the_solver(document, objective, 6, seed)


@node
@pytest.mark.slow
@pytest.mark.parametrize("name", ["pipeline-vgg19", "pipeline-resnet101"])
def test_the_published_pipelines_are_planned_as_they_are(name):
    """The page's own plan is the one that it was made of."""
    made = plan(f"examples/{name}.yaml")
    [found] = replanned(replanning(made).data, [{}])
    assert found["value"] == pytest.approx(made.result.objective, rel=1e-11)
    assert found["kept"] == pytest.approx(found["value"], rel=1e-11)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no Chromium")
def test_a_slider_in_a_browser_plans_as_the_solver_does(tmp_path):
    """All nodes at 10^0.3 of their speed: the sentence and the value are those of the problem."""
    document = Scenario.load("digits-pipeline").to_dict()
    page = tmp_path / "page.html"
    moved = """<script>
      const slide = document.getElementById("slide-nodes");
      slide.value = 0.3; slide.dispatchEvent(new Event("input"));
      setTimeout(() => { document.title = String(window.splitopt.found.value); }, 500);
    </script></body>"""
    page.write_text(plan_to_html(plan("digits-pipeline")).replace("</body>", moved))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000"]
    done = subprocess.run(
        ["chromium", *flags, f"--user-data-dir={tmp_path}/browser", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    value = float(done.stdout.split("<title>")[1].split("</title>")[0])
    for entry in document["nodes"]:
        entry["compute"] = scaled(entry["compute"], 10**0.3)
    best = solve(PipelinePartition.from_scenario(Scenario.from_dict(document)))
    assert value == pytest.approx(best.objective, rel=1e-9)
    assert "No plan with these cuts of the owners is better: that is proved." in done.stdout


@node
def test_a_pipeline_that_fits_nowhere_is_said_to_be_so():
    """Without memory no chain holds the layers."""
    data = dict(replanning(plan("digits-pipeline")).data)
    [found] = replanned({**data, "capacity": [1.0] * len(data["nodes"])}, [{}])
    assert found["outcome"] == "infeasible"


def test_pipelines_without_sliders_say_why():
    """Another objective, and more partitions than a page can go through."""
    rng = np.random.default_rng(0)
    document = fleet(rng, "uniform")
    made = plan(Scenario.from_dict(document), objective="epoch")
    assert "planned for the round or the period, and this one is for the epoch" in (
        replanning(made).why_not or ""
    )
    document["nodes"] = [
        {"name": f"n{k}", "compute": f"{k + 1} MFLOP/s", "rate": "1 Mbit/s"} for k in range(14)
    ]
    document["links"]["nodes"] = {"model": "nic"}
    problem = PipelinePartition.from_scenario(Scenario.from_dict(document))
    made = splitopt.plan("digits-pipeline")
    assert "up to about eight different nodes" in (why_no_pipeline(made, problem) or "")
