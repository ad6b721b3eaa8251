"""The script that plans anew, held against the solver on the changed scenario."""

from __future__ import annotations

import itertools
import shutil

import numpy as np
import pytest

from benchmarks.page.case import planned, replanned, replans
from benchmarks.page.fleets import changed_scenario, fleet
from splitopt import CutAndResources, Scenario, plan, solve
from splitopt.report.replanning import replanning

node = pytest.mark.skipif(shutil.which("node") is None, reason="there is no node to run JavaScript")


def held_against_the_solver(scenario, objective, changes, seed=0):
    """Check random changes one by one; return the gaps that the script proved."""
    gaps = []
    for change, found, best in replans(scenario, objective, changes, seed):
        if best is None or best.outcome == "infeasible":
            assert found["outcome"] == "infeasible", change
            continue
        assert best.outcome == "optimal"
        assert found["outcome"] in ("optimal", "feasible"), (change, found)
        assert found["violations"] == {}, change
        assert found["evaluated"] == pytest.approx(found["value"], rel=1e-9), change
        # a floor above the proved optimum would be a claim that is false
        assert found["bound"] <= best.objective * (1 + 1e-11), change
        assert found["value"] >= best.bound * (1 - 1e-11), change
        assert found["gap"] == pytest.approx((found["value"] - found["bound"]) / found["value"])
        gaps.append(found["gap"])
    return gaps


@node
@pytest.mark.parametrize("objective", ["sum", "makespan"])
def test_changes_of_a_published_fleet_are_answered_as_the_solver_does(objective):
    """Rates, speeds, lost devices and the leakage limit: floor, value and shares are right."""
    gaps = held_against_the_solver(Scenario.load("dp-mora-resnet18"), objective, 12)
    assert len(gaps) >= 8
    assert max(gaps) < 0.01


@pytest.mark.one_quick
@node
@pytest.mark.parametrize(
    ("made", "objective"),
    [
        (fleet(0, 6, counts=5, memory="4 GB"), "sum"),
        (fleet(1, 6, alike=True), "makespan"),
        (fleet(2, 5, shared=False), "makespan"),
        (fleet(3, 5, joule=True), "latency_energy"),
        (fleet(4, 5, memory="0.8 GB"), "makespan"),
    ],
    ids=["memory and groups", "alike", "own links", "energy", "tight memory"],
)
def test_changes_of_other_fleets(made, objective):
    """The memory of a server, alike devices, links of their own and energy are no exceptions."""
    assert max(held_against_the_solver(made, objective, 3), default=0) < 0.05


@node
@pytest.mark.slow
@pytest.mark.parametrize("objective", ["sum", "makespan"])
@pytest.mark.parametrize("kind", [{}, {"counts": 20}, {"memory": "6 GB"}, {"shared": False}])
def test_many_changes_of_many_fleets(kind, objective):
    """Hundreds of changes of fleets of 3 to 40 entries: none is claimed to be better than it is."""
    gaps = []
    for seed, devices in enumerate((3, 8, 15, 40)):
        gaps += held_against_the_solver(fleet(seed, devices, **kind), objective, 12, seed)
    assert np.quantile(gaps, 0.9) < 1e-4


def tiny(rng, objective):
    """Return the data of a page about three devices and three cuts, of small whole numbers."""
    shape = (3, 3)
    names = ("download", "upload", "server", "device")
    tables = {name: rng.integers(0, 4, shape).tolist() for name in names}
    fits = (rng.random(shape) < 0.8).astype(int).tolist()
    groups = [
        {"count": 1, "fits": row, "leakage_limit": None, "priority": 1.0}
        | {"device_w": 0.0, "radio_w": 0.0}
        for row in fits
    ]
    budget = None
    if rng.random() < 0.5:
        use = rng.integers(0, 3, shape)
        budget = {"use": use.tolist(), "limit": int(rng.integers(1, 4))}
    return {
        "objective": objective,
        "cuts": ["1", "2", "3"],
        "groups": groups,
        **tables,
        "shared_links": bool(rng.random() < 0.8),
        "seconds_per_joule": None,
        "leakage": None,
        "leakage_limit": None,
        "budget": budget,
        "counts": None,
    }


def enumerated(data):
    """Return the least objective of all cuts, None where none is allowed."""
    names = ("download", "upload", "server", "device")
    problem = CutAndResources(
        **{f"{name}_s": np.array(data[name], dtype=float) for name in names},
        allowed=np.array([group["fits"] for group in data["groups"]], dtype=bool),
        objective=data["objective"],
        shared_links=data["shared_links"],
    )
    found = []
    for cuts in itertools.product(range(3), repeat=3):
        if not all(data["groups"][n]["fits"][cut] for n, cut in enumerate(cuts)):
            continue
        budget = data["budget"]
        if budget and sum(budget["use"][n][cut] for n, cut in enumerate(cuts)) > budget["limit"]:
            continue
        found.append(problem.evaluate(problem.complete(np.array(cuts) + 1)))
    return min(found, default=None)


@pytest.mark.slow
@node
@pytest.mark.parametrize("objective", ["sum", "makespan"])
def test_tiny_fleets_are_planned_as_enumeration_does(objective):
    """Ties, zeros, resources that nobody links and limits: what is called proved is the best."""
    rng = np.random.default_rng(7)
    for _ in range(3):
        datas = [tiny(rng, objective) for _ in range(25)]
        for data, found in zip(datas, planned(datas), strict=True):
            best = enumerated(data)
            if best is None:
                assert found["outcome"] in ("infeasible", "no_solution")
                continue
            assert found["outcome"] == "optimal", data
            assert found["value"] == pytest.approx(best, rel=1e-9, abs=1e-12), data
            assert found["bound"] <= best * (1 + 1e-11), data


@node
def test_what_has_no_plan_is_said_with_its_reason():
    """No allowed cut, no device and too small a memory are three different answers."""
    data = replanning(plan(Scenario.load("dp-mora-resnet18"))).data
    nobody = {"lost": [group["count"] for group in data["groups"]]}
    found = replanned(data, [{"leakage": 0.001}, nobody])
    assert [(one["outcome"], one["why"]) for one in found] == [
        ("infeasible", "cuts"),
        ("infeasible", "devices"),
    ]
    assert found[0]["stuck"] == list(range(10))
    small = replanning(plan(fleet(0, 4, memory="4 GB"))).data
    small["budget"]["use"] = [[1 + use for use in row] for row in small["budget"]["use"]]
    small["budget"]["limit"] = 1.0
    (none,) = replanned(small, [{}])
    assert (none["outcome"], none["why"]) == ("infeasible", "memory")


@node
def test_a_hundred_million_devices_lose_half(tmp_path):
    """Groups of any size: the answer is as good as the solver's for the halved fleet."""
    from splitopt.problems.cut_and_resources.group_tables import grouped_problem

    scenario = Scenario.load("examples/fleet-of-groups.yaml")
    data = replanning(plan(scenario)).data
    lost = [group["count"] // 2 for group in data["groups"]]
    (found,) = replanned(data, [{"lost": lost, "uplink": 0.25}])
    half = changed_scenario(scenario, {"lost": lost, "uplink": 0.25})
    best = solve(grouped_problem(half, half.load_model(), "sum"))
    assert found["bound"] <= best.objective * (1 + 1e-11)
    assert found["value"] == pytest.approx(best.objective, rel=1e-8)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("examples/two-servers.yaml", "choose more"),
        ("examples/graph-inception.yaml", None),
    ],
)
def test_a_page_without_sliders_says_why(name, words):
    """Plans of other choices say why they have none; plans of other problems say nothing."""
    found = replanning(plan(Scenario.load(name)))
    assert found.data is None
    assert (found.why_not is None) if words is None else words in found.why_not
