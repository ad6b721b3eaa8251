"""The scripts that plan clusters anew, held against the problem and the solver on changed data."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.resources import files

import numpy as np
import pytest

from splitopt import CutAndClusters, Scenario, plan, solve
from splitopt.problems.cut_and_clusters import CutAndClustersDecision
from splitopt.report.page import plan_to_html
from splitopt.report.replanning import replanning

node = pytest.mark.skipif(shutil.which("node") is None, reason="there is no node to run JavaScript")
_RUN = """
const Clusters = require(process.argv[1]);
const [data, asked] = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(asked.map(change => {
  const fleet = Clusters.changed(data, change), found = Clusters.solve(fleet, data.clusters);
  const bounds = [];
  for (const step of Clusters.steps(Clusters.changed(data, change), data.clusters))
    if (step && step.bound) bounds.push([step.bound, step.value]);
  found.all = bounds;
  return found;
})));
"""


def replanned(data, changes):
    """Return what the script makes of changes of one page's data, run by node."""
    script = files("splitopt.report").joinpath("assets", "clusters.js")
    done = subprocess.run(
        ["node", "-e", _RUN, str(script)],
        input=json.dumps([data, changes]),
        capture_output=True,
        text=True,
        check=True,
        timeout=400,
    )
    return json.loads(done.stdout)


def cell(seed, entries, size, *, cut="auto", epochs=1, counts=1, per_cluster=False, full=False):
    """Return a radio cell of random entries, with a last one that makes its sizes fit."""
    rng = np.random.default_rng(seed)
    many = [int(rng.integers(1, counts + 1)) for _ in range(entries)]
    many[-1] += -sum(many) % size
    return {
        "format": "splitopt-scenario",
        "version": 1,
        "name": "cell",
        "model": "cpsl-lenet-same",
        "devices": [
            {
                "name": f"d{n}",
                "count": count,
                "compute": f"{rng.uniform(0.1, 1):.6g} GMAC/s",
                "samples": 180,
                "batch_size": int(rng.choice([8, 16])),
                "snr_db": float(rng.uniform(5, 30)),
            }
            for n, count in enumerate(many)
        ],
        "links": {"downlink": {}, "uplink": {}},
        "servers": [{"name": "edge", "compute": "100 GMAC/s"}],
        "spectrum": {
            "subcarriers": 12,
            "bandwidth": "1 MHz",
            "device_model_over_full_band": full,
        },
        "clusters": {"size": size, "cut": cut, "cut_per_cluster": per_cluster},
        "training": {"epochs": epochs},
    }


def random_change(rng, data):
    """Return factors from a tenth to ten, other subcarriers, and lost devices now and then."""
    groups = data["groups"]

    def factor():
        return float(10 ** rng.uniform(-1, 1))

    found = {name: factor() for name in ("bandwidth", "server", "device")}
    found["devices"] = [factor() if rng.random() < 0.3 else 1.0 for _ in groups]
    found["subcarriers"] = int(rng.integers(max(data["sizes"]), 3 * data["subcarriers"]))
    if rng.random() < 0.5:
        found["lost"] = [int(rng.integers(0, group["count"] + 1)) for group in groups]
        if sum(found["lost"]) == sum(group["count"] for group in groups):
            found["lost"][0] -= 1
    return found


def changed(document, change, sizes):
    """Return the scenario with a change made to its own numbers, and its devices that are left."""
    found = json.loads(json.dumps(document))

    def scaled(text, by):
        number, unit = text.split()
        return f"{float(number) * by!r} {unit}"

    many = len(found["devices"])
    lost = change.get("lost", [0] * many)
    for device, own, gone in zip(
        found["devices"], change.get("devices", [1.0] * many), lost, strict=True
    ):
        device["compute"] = scaled(device["compute"], own * change.get("device", 1.0))
        device["count"] -= gone
    left = [g for g, device in enumerate(found["devices"]) if device["count"]]
    found["devices"] = [found["devices"][g] for g in left]
    server = found["servers"][0]
    server["compute"] = scaled(server["compute"], change.get("server", 1.0))
    spectrum = found["spectrum"]
    spectrum["bandwidth"] = scaled(spectrum["bandwidth"], change.get("bandwidth", 1.0))
    spectrum["subcarriers"] = change.get("subcarriers", spectrum["subcarriers"])
    del found["clusters"]["size"]
    found["clusters"]["sizes"] = sizes
    entries = [g for g in left for _ in range(document["devices"][g]["count"] - lost[g])]
    return Scenario.from_dict(found), entries


def decision_of(found, entries, problem, data):
    """Return the script's plan as a decision about single devices, and the cuts it names."""
    free = {g: [n for n, own in enumerate(entries) if own == g] for g in set(entries)}
    names = [name.split(" ", 1)[1] for name in data["cuts"]]
    clusters, x, cuts = [], np.zeros(problem.devices, dtype=np.int64), []
    for own in found["clusters"]:
        members = [free[g].pop() for g in own["members"]]
        x[members] = own["shares"]
        clusters.append(np.array(members))
        cuts.append(problem.cuts.index(names[own["cut"]]))
    return CutAndClustersDecision(tuple(clusters), x, np.array(cuts))


def held_against_the_solver(document, changes, seed=0, within=0.03):
    """Check the page of a plan as it is and with random changes; return the gaps it proved."""
    made = plan(Scenario.from_dict(document), problem="cut_and_clusters")
    data, rng = replanning(made).data, np.random.default_rng(seed)
    assert data is not None
    asked = [{}, *(random_change(rng, data) for _ in range(changes))]
    gaps = []
    for change, found in zip(asked, replanned(data, asked), strict=True):
        sizes = sorted((len(own["members"]) for own in found["clusters"]), reverse=True)
        scenario, entries = changed(document, change, sizes)
        problem = CutAndClusters.from_scenario(scenario)
        decision = decision_of(found, entries, problem, data)
        assert not problem.violations(decision), change
        assert problem.evaluate(decision) == pytest.approx(found["value"], rel=1e-9), change
        # the page's subcarriers are the best for its clusters, as the exact rule has them
        best = problem.complete(decision.clusters, decision.cuts)
        assert problem.evaluate(best) == pytest.approx(found["value"], rel=1e-12)
        optimum = solve(problem, time_limit_s=600)
        assert optimum.outcome == "optimal"
        assert found["value"] <= optimum.objective * (1 + within), change
        assert found["bound"] <= optimum.objective * (1 + 1e-11), change
        assert all(bound <= optimum.objective * (1 + 1e-11) for bound, _ in found["all"])
        values = [value for _, value in found["all"]]
        assert values == sorted(values, reverse=True)
        assert found["gap"] == pytest.approx(max(0, 1 - found["bound"] / found["value"]), abs=1e-12)
        gaps.append(found["gap"])
    return gaps


@node
@pytest.mark.slow
def test_changes_of_a_small_cell_are_answered_as_the_solver_does():
    """Bandwidth, subcarriers, speeds and lost devices: value, floor and shares are right."""
    gaps = held_against_the_solver(cell(0, 3, 2, cut=3), 2)
    assert max(gaps) < 1e-9


@node
@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"cut": 3, "epochs": 4},
        {"per_cluster": True},
        {"per_cluster": True, "epochs": 2},
        {"full": True, "counts": 3},
        {"counts": 4, "epochs": 3},
    ],
    ids=[
        "one for all",
        "stated, inner",
        "each its own",
        "each, inner",
        "full band",
        "alike, inner",
    ],
)
def test_many_changes_of_many_cells(kind):
    """Every form of the problem, in cells that the solver plans to the optimum."""
    gaps = []
    for seed, (entries, size) in enumerate([(4, 2), (6, 3), (9, 3)]):
        gaps += held_against_the_solver(cell(seed, entries, size, **kind), 5, seed)
    assert np.median(gaps) < 0.02


@node
@pytest.mark.slow
def test_thirty_devices_are_planned_within_one_percent():
    """CPSL's size, all devices different, clusters of five."""
    document = cell(3, 30, 5, cut=3)
    made = plan(Scenario.from_dict(document), problem="cut_and_clusters")
    data = replanning(made).data
    asked = [{}, {"bandwidth": 2.0, "device": 0.5}, {"subcarriers": 30}]
    for change, found in zip(asked, replanned(data, asked), strict=True):
        scenario, _ = changed(document, change, data["sizes"])
        best = solve(CutAndClusters.from_scenario(scenario), time_limit_s=600)
        assert found["value"] <= best.objective * 1.01
        assert found["bound"] <= best.objective * (1 + 1e-11)
        assert found["gap"] < 0.03


@node
@pytest.mark.parametrize("name", ["cpsl-identical", "digits-clusters"])
def test_shipped_plans_are_proved_as_they_are(name):
    """The page's own plan has the value that it was made of, whatever problem it is of."""
    made = plan(name)
    [found] = replanned(replanning(made).data, [{}])
    assert found["value"] == pytest.approx(made.result.objective, rel=1e-9)
    assert found["outcome"] == "optimal"


@node
def test_what_leaves_no_plan_is_said():
    """No device, too few subcarriers, and a cut that nobody may take."""
    data = replanning(plan("digits-clusters")).data
    lost = [group["count"] for group in data["groups"]]
    none, few = replanned(data, [{"lost": lost}, {"subcarriers": 2}])
    assert (none["outcome"], none["why"]) == ("infeasible", "devices")
    assert (few["outcome"], few["why"], few["size"]) == ("infeasible", "subcarriers", 3)
    [stuck] = replanned(data | {"allowed": [[1, 1, 0]]}, [{}])
    assert (stuck["outcome"], stuck["why"]) == ("infeasible", "cuts")


def test_a_cut_by_the_servers_memory_lets_no_device_be_lost():
    """Fewer devices could bring back a cut that the page knows nothing of."""
    document = cell(0, 4, 2)
    assert replanning(plan(Scenario.from_dict(document))).data["can_lose"]
    document["servers"][0]["memory"] = "2 MB"
    made = plan(Scenario.from_dict(document))
    assert made.is_feasible
    data = replanning(made).data
    assert not data["can_lose"]
    assert len(data["cuts"]) < 11


def test_large_fleets_have_no_sliders():
    """A page carries and searches so much and no more."""
    document = cell(0, 3, 3, cut=3)
    document["devices"] = [{**document["devices"][0], "count": 303}]
    assert "up to 300 devices in clusters" in replanning(plan(Scenario.from_dict(document))).why_not


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no Chromium")
def test_a_slider_in_a_browser_plans_as_the_solver_does(tmp_path):
    """Twice the bandwidth, in steps while the page is looked at: the last value is the optimum."""
    page = tmp_path / "page.html"
    moved = """<script>
      const slide = document.getElementById("slide-bandwidth");
      slide.value = 0.3; slide.dispatchEvent(new Event("input"));
      const look = () => {
        if (window.splitopt.change.bandwidth > 1 && window.splitopt.done)
          document.title = String(window.splitopt.found.value);
        else setTimeout(look, 50);
      };
      look();
    </script></body>"""
    page.write_text(plan_to_html(plan("digits-clusters")).replace("</body>", moved))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=60000"]
    done = subprocess.run(
        ["chromium", *flags, f"--user-data-dir={tmp_path}/browser", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    value = float(done.stdout.split("<title>")[1].split("</title>")[0])
    document = Scenario.load("digits-clusters").to_dict()
    document["spectrum"]["bandwidth"] = f"{20 * 10**0.3!r} kHz"
    best = solve(CutAndClusters.from_scenario(Scenario.from_dict(document)))
    assert value == pytest.approx(best.objective, rel=1e-9)
    assert "No plan is better: that is proved." in done.stdout
