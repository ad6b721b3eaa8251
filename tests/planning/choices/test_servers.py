"""Servers and cuts chosen for every device, against formulas written out by hand."""

from __future__ import annotations

import copy
import itertools
import json
import math
from dataclasses import replace

import pytest

from splitopt import InputError, Scenario, plan, solve
from splitopt.planning.comparison.comparing import compare_schemes
from splitopt.planning.planner import open_plan
from splitopt.plans import Plan
from splitopt.problems.cut_and_resources import (
    CutAndResources,
)
from splitopt.simulation.replay import simulate_decision
from tests.planning.choices.cases import (
    ALL,
    DOCUMENT,
    SERVERS,
    by_hand,
)


def best_sum(choices):
    """Return the least sum of latencies over all (server, cut) of all devices."""
    best = math.inf
    for picked in itertools.product(*choices):
        value = 0.0
        for server in SERVERS:
            rows = [
                by_hand(n, s, c) for n, (s, c) in zip("abc", picked, strict=True) if s == server
            ]
            for resource in range(3):
                value += sum(math.sqrt(row[resource]) for row in rows) ** 2
            value += sum(row[3] for row in rows)
        best = min(best, value)
    return best


def test_the_best_of_all_servers_and_cuts(scenario):
    """729 plans, each by formulas of the test; the plan's own row repeats its seconds."""
    made = plan(scenario())
    assert made.result["outcome"] == "optimal"
    assert made.result["objective"] == pytest.approx(best_sum([ALL] * 3), rel=1e-9)
    for row in made.prediction["devices"]:
        down, up, server, own = by_hand(row["name"], row["server"], row["cut"])
        assert row["device_s"] == pytest.approx(own, rel=1e-12)
        for phase, share, full in (
            ("download_s", "download_share", down),
            ("upload_s", "upload_share", up),
            ("server_s", "server_share", server),
        ):
            assert row[phase] * row[share] == pytest.approx(full, rel=1e-12)
    for server in SERVERS:
        mine = [row for row in made.prediction["devices"] if row["server"] == server]
        for share in ("download_share", "upload_share", "server_share"):
            assert sum(row[share] for row in mine) <= 1 + 1e-9


def test_what_each_freedom_was_worth(scenario):
    """Without the server everybody is where it is fastest alone, without the cut all cut alike."""
    made = plan(scenario())
    rows = {row["freedom"]: row for row in made.prediction["freedoms"]}
    assert set(rows) == {"server", "cut"}
    near = [[min(ALL, key=lambda one, n=name: sum(by_hand(n, *one)))[0]] for name in "abc"]
    fixed = [[(server, cut) for server in own for cut in (1, 2, 3)] for own in near]
    assert rows["server"]["objective"] == pytest.approx(best_sum(fixed), rel=1e-9)
    alike = min(best_sum([[(s, cut) for s in SERVERS]] * 3) for cut in (1, 2, 3))
    assert rows["cut"]["objective"] == pytest.approx(alike, rel=1e-9)
    for row in rows.values():
        assert row["saves"] == pytest.approx(row["objective"] - made.result["objective"])


@pytest.mark.parametrize("objective", ["sum", "makespan"])
def test_a_server_out_of_reach_changes_nothing(scenario, objective):
    """Where all devices reach one server alone the plan is that of the one-server scenario."""
    document = copy.deepcopy(DOCUMENT)
    for device in document["devices"]:
        device["servers"] = ["near"]
    several = plan(scenario(devices=document["devices"]), objective=objective)
    for device in document["devices"]:
        del device["servers"]
    alone = scenario(devices=document["devices"], servers=document["servers"][:1])
    assert type(CutAndResources.from_scenario(alone)) is CutAndResources
    one = plan(alone, objective=objective)
    assert several.result["objective"] == pytest.approx(one.result["objective"], rel=1e-9)
    for left, right in zip(several.prediction["devices"], one.prediction["devices"], strict=True):
        assert left["server"] == "near"
        assert left["cut"] == right["cut"]
    # and of the same cuts the same shares and seconds
    cuts = [row["cut"] for row in one.prediction["devices"]]
    wide = CutAndResources.from_scenario(
        Scenario.from_dict(several.scenario), open_plan(several).profile, objective
    )
    narrow = CutAndResources.from_scenario(alone, None, objective)
    left = wide.evaluate(wide.complete_choices([cut - 1 for cut in cuts]))
    assert left == pytest.approx(narrow.evaluate(narrow.complete(cuts)), rel=1e-12)


def test_servers_of_their_own_links_are_read_where_there_is_one(scenario):
    """A single server's links are those of every plan, whatever the problem."""
    single = scenario(servers=DOCUMENT["servers"][1:], devices=DOCUMENT["devices"][:2])
    same = scenario(
        servers=[{"name": "far", "compute": "5 GFLOP/s"}],
        links=DOCUMENT["servers"][1]["links"],
        devices=DOCUMENT["devices"][:2],
    )
    for problem in ("cut_and_resources", "common_cut"):
        first, second = plan(single, problem=problem), plan(same, problem=problem)
        assert first.result["objective"] == second.result["objective"]


@pytest.mark.parametrize("objective", ["sum", "makespan"])
def test_equal_servers_divide_equal_devices(scenario, objective):
    """Two equal servers with four equal devices: two at each is best, by symmetry and convexity."""
    servers = [{"name": name, "compute": "1 GFLOP/s"} for name in ("x", "y")]
    device = DOCUMENT["devices"][0] | {"count": 4}
    made = plan(scenario(servers=servers, devices=[device]), objective=objective)
    assert [row["devices"] for row in made.prediction["servers"]] == [2, 2]
    half = plan(scenario(servers=servers[:1], devices=[device | {"count": 2}]), objective=objective)
    factor = 2 if objective == "sum" else 1
    assert made.result["objective"] == pytest.approx(factor * half.result["objective"], rel=1e-6)


def test_own_links_are_not_shared(scenario):
    """With a downlink and an uplink of its own a device waits for the server alone."""
    links = DOCUMENT["links"] | {"shared": False}
    made = plan(scenario(links=links))
    total = made.result["objective"]
    best = math.inf
    for picked in itertools.product(ALL, repeat=3):
        value = 0.0
        for server in SERVERS:
            rows = [
                by_hand(n, s, c) for n, (s, c) in zip("abc", picked, strict=True) if s == server
            ]
            value += sum(math.sqrt(row[2]) for row in rows) ** 2
            value += sum(row[0] + row[1] + row[3] for row in rows)
        best = min(best, value)
    assert total == pytest.approx(best, rel=1e-9)
    assert {row["download_share"] for row in made.prediction["devices"]} == {1.0}


def test_seats_bound_a_server(scenario):
    """With one seat at each of two servers three devices have no plan; with two and one they do."""
    servers = copy.deepcopy(DOCUMENT["servers"])
    servers[0]["seats"] = servers[1]["seats"] = 1
    none = plan(scenario(servers=servers))
    assert none.decision is None
    assert "near, far have 2 seats for the 3 devices" in none.result["message"]
    assert "which is 1 too few" in none.result["message"]
    servers[1]["seats"] = 2
    made = plan(scenario(servers=servers))
    assert [row["devices"] for row in made.prediction["servers"]] == [1, 2]
    best = min(
        best_sum([[(server, cut) for cut in (1, 2, 3)] for server in where])
        for where in itertools.permutations(["near", "far", "far"])
    )
    assert made.result["objective"] == pytest.approx(best, rel=1e-9)


def test_seats_of_some_devices_are_too_few(scenario):
    """Hall's theorem: enough seats in all, and too few for those that reach one server alone."""
    servers = copy.deepcopy(DOCUMENT["servers"])
    servers[0]["seats"] = 1
    devices = copy.deepcopy(DOCUMENT["devices"])
    devices[0]["servers"] = devices[1]["servers"] = ["near"]
    message = plan(scenario(servers=servers, devices=devices)).result["message"]
    assert "near has 1 seats for the 2 devices that reach no other server (a, b)" in message
    assert "1 too few" in message


def test_a_device_that_reaches_no_server_is_named(scenario):
    """It is infeasible, and the plan without a decision is read again."""
    devices = copy.deepcopy(DOCUMENT["devices"])
    devices[1]["servers"] = []
    made = plan(scenario(devices=devices))
    assert made.result["outcome"] == "infeasible"
    assert made.result["message"].startswith("b reaches no server")
    assert open_plan(Plan.from_dict(made.to_dict())).decision is None


def test_limits_hold_at_every_server(scenario):
    """Leakage rules out the first cut everywhere."""
    made = plan(scenario(privacy={"leakage_limit": 0.6}))
    assert min(row["cut"] for row in made.prediction["devices"]) >= 2
    deep = [[(s, c) for s in SERVERS for c in (2, 3)]] * 3
    assert made.result["objective"] == pytest.approx(best_sum(deep), rel=1e-9)


def test_the_plan_is_read_back_and_replayed(scenario):
    """The file holds all: predictions are checked, and the simulation ends when it promises."""
    made = Plan.from_dict(json.loads(json.dumps(plan(scenario()).to_dict())))
    opened = open_plan(made)
    replay = simulate_decision(
        opened.problem, opened.decision, scenario=opened.scenario, profile=opened.profile
    )
    assert replay.simulated_s == pytest.approx(made.prediction["round_s"], rel=1e-9)
    names = {resource.name for resource in replay.timeline.resources}
    assert {"near", "far", "downlink of near", "uplink of far"} <= names
    changed = copy.deepcopy(made.prediction)
    changed["devices"][0]["server"] = "elsewhere"
    with pytest.raises(InputError, match=r"devices\[0\].server: is 'elsewhere'"):
        open_plan(replace(made, prediction=changed))
    changed = copy.deepcopy(made.prediction)
    changed["devices"][1]["round_s"] *= 1.1
    with pytest.raises(InputError, match=r"devices\[1\].round_s"):
        open_plan(replace(made, prediction=changed))


def test_worth_is_the_derivative_for_these_choices(scenario):
    """A server, link or device 0.01 % better, the same choices completed anew."""
    made = plan(scenario())
    profile = open_plan(made).profile
    rows = {row["resource"]: row for row in made.prediction["worth"]}
    choice = made.decision["choice"]

    def value(document):
        loaded = scenario(**document)
        problem = CutAndResources.from_scenario(loaded, profile)
        return problem.evaluate(problem.complete_choices(choice))

    before, step = value({}), 1e-4
    servers = copy.deepcopy(DOCUMENT["servers"])
    servers[0]["compute"] = f"{1 + step} GFLOP/s"
    saved = (before - value({"servers": servers})) / (100 * step)
    assert rows["server near"]["per_percent"] == pytest.approx(saved, rel=1e-3)
    servers = copy.deepcopy(DOCUMENT["servers"])
    servers[1]["links"]["uplink"] = f"{4 * (1 + step)} Mbit/s"
    saved = (before - value({"servers": servers})) / (100 * step)
    assert rows["uplink of far"]["per_percent"] == pytest.approx(saved, rel=1e-3)


def test_what_other_rules_lose(scenario):
    """Nearest server and greedy association are never ahead, and stand in the comparison."""
    loaded = scenario()
    problem = CutAndResources.from_scenario(loaded)
    best = solve(problem, "exact").objective
    for rule in ("nearest_server", "greedy_association"):
        assert solve(problem, rule).objective >= best * (1 - 1e-9)
    found = compare_schemes(loaded)
    ranked = {row.scheme for row in found.feasible}
    assert ranked == {"dp_mora_sum", "dp_mora_makespan", "nearest_server", "greedy_association"}
    assert found.row("sflv1").status == "not_comparable"
    fastest = found.row("dp_mora_makespan").round_s
    assert all(row.round_s >= fastest * (1 - 1e-6) for row in found.feasible)
