"""Servers, cuts and bits chosen for every device, against formulas written out by hand."""

from __future__ import annotations

import copy
import itertools
import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest

from splitopt import InputError, Scenario, plan, solve
from splitopt.cli.entry import run
from splitopt.planning.comparison.comparing import compare_schemes
from splitopt.planning.planner import open_plan
from splitopt.plans import Plan
from splitopt.problems.cut_and_resources import (
    CutAndResources,
    assigned,
    choice_tables,
    from_scenario,
)
from splitopt.simulation.replay import simulate_decision
from splitopt.solvers.cut_and_resources.price_consensus import PriceConsensus

LAYERS = 3
# A model of three layers by hand: bytes of the device part, bytes across each cut, FLOP.
MODEL_BYTES = [1000.0, 5000.0, 20_000.0]
SMASHED = [4000.0, 1000.0, 0.0]
GRADIENT = [4000.0, 1000.0, 0.0]
FORWARD = [2e6, 5e6, 9e6]
"""Of the device part, for one sample."""
BACKWARD = [4e6, 10e6, 18e6]
WHOLE = 27e6

DOCUMENT = {
    "format": "splitopt-scenario",
    "version": 1,
    "model": {"file": "model.json"},
    "training": {"epochs": 2, "rounds": 3},
    "links": {"downlink": "20 Mbit/s", "uplink": "8 Mbit/s"},
    "servers": [
        {"name": "near", "compute": "1 GFLOP/s"},
        {
            "name": "far",
            "compute": "5 GFLOP/s",
            "links": {"downlink": "10 Mbit/s", "uplink": "4 Mbit/s"},
        },
    ],
    "devices": [
        {"name": "a", "compute": "100 MFLOP/s", "samples": 50, "batch_size": 10},
        {"name": "b", "compute": "50 MFLOP/s", "samples": 30, "batch_size": 10},
        {
            "name": "c",
            "compute": "400 MFLOP/s",
            "samples": 101,
            "batch_size": 10,
            "servers": {"near": {"uplink": "2 Mbit/s"}, "far": {}},
        },
    ],
}
RATES = {  # (server, device) -> downlink and uplink in bit/s, read from the document by eye
    **{("near", name): (20e6, 8e6) for name in "ab"},
    **{("far", name): (10e6, 4e6) for name in "abc"},
    ("near", "c"): (20e6, 2e6),
}
SPEEDS = {"a": 100e6, "b": 50e6, "c": 400e6}
SERVERS = {"near": 1e9, "far": 5e9}
SAMPLES = {"a": 50, "b": 30, "c": 101}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with the profile of the model."""
    place = tmp_path_factory.mktemp("choices")
    document = {
        "format": "splitopt-profile",
        "version": 1,
        "name": "three",
        "layers": ["one", "two", "three"],
        "device_model_bytes": MODEL_BYTES,
        "smashed_bytes": SMASHED,
        "gradient_bytes": GRADIENT,
        "device_forward_flop": FORWARD,
        "device_backward_flop": BACKWARD,
        "server_forward_flop": [9e6 - done for done in FORWARD],
        "server_backward_flop": [18e6 - done for done in BACKWARD],
        "leakage": [0.9, 0.5, 0.0],
        "work_unit": "FLOP",
        "provenance": {"kind": "computed", "source": "by hand"},
    }
    (place / "model.json").write_text(json.dumps(document))
    return place


@pytest.fixture
def scenario(folder):
    """Return a function that loads the scenario with some changes at the top."""

    def load(**changes):
        document = copy.deepcopy(DOCUMENT) | changes
        (folder / "scenario.json").write_text(json.dumps(document))
        return Scenario.load(folder / "scenario.json")

    return load


def by_hand(name, server, cut, epochs=2, up=None, down=None):
    """Seconds of download, upload, server and device, as DP-MORA Eq. 2-11 have them."""
    samples, (downlink, uplink) = SAMPLES[name], RATES[server, name]
    done = FORWARD[cut - 1] + BACKWARD[cut - 1]
    up = epochs * samples * SMASHED[cut - 1] if up is None else up
    down = epochs * samples * GRADIENT[cut - 1] if down is None else down
    return (
        8 * (MODEL_BYTES[cut - 1] + down) / downlink,
        8 * (MODEL_BYTES[cut - 1] + up) / uplink,
        epochs * samples * (WHOLE - done) / SERVERS[server],
        epochs * samples * done / SPEEDS[name],
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


ALL = list(itertools.product(SERVERS, (1, 2, 3)))


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


def test_bits_cross_as_the_codecs_write_them(scenario):
    """8 bits of a batch of 10 take a quarter and 5 bytes; 101 samples end in a batch of one."""
    bits = {"up": [32, 8], "down": [32, 16]}
    loaded = scenario(precision=bits)
    problem = CutAndResources.from_scenario(loaded)
    names = list(problem.choice_names)
    o = names.index("far, cut 1 (one), 8 bit up, 16 bit down")
    for row, name in enumerate("abc"):
        batches = [10] * (SAMPLES[name] // 10) + [1] * (SAMPLES[name] % 10)
        up = 2 * sum(count * 1000 + 5 for count in batches)
        down = 2 * SAMPLES[name] * 2000
        seconds = by_hand(name, "far", 1, up=up, down=down)
        assert problem.work_s[row, o, 3:] == pytest.approx(seconds[:3], rel=1e-12)
        assert problem.own_s[row, o] == pytest.approx(seconds[3], rel=1e-12)
    made = plan(loaded)
    assert {row["bits_up"] for row in made.prediction["devices"]} <= {8, 32}
    kinds = [row["freedom"] for row in made.prediction["freedoms"]]
    assert kinds == ["server", "cut", "up", "down"]


def test_distortion_is_limited_in_all_and_of_each(scenario):
    """The total is a budget: of three devices only two may go down to 8 bits."""
    bits = {"up": [32, 8], "up_distortion": [0, 1], "down": [32]}
    free = plan(scenario(precision=bits, privacy={"leakage_limit": 0.6}))
    cutting = [row for row in free.prediction["devices"] if row["cut"] == 2]
    assert all(row["bits_up"] == 8 for row in cutting)
    none = plan(scenario(precision=bits | {"device_limit": 0.5}))
    assert {row["bits_up"] for row in none.prediction["devices"]} == {32}
    assert none.result["objective"] == pytest.approx(plan(scenario()).result["objective"])
    limited = plan(scenario(precision=bits | {"limit": 1}))
    assert sum(row["bits_up"] == 8 for row in limited.prediction["devices"]) <= 1
    (row,) = [row for row in limited.prediction["budgets"] if row["name"] == "distortion"]
    assert row["used"] <= row["limit"] == 1


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


BAD = [
    (
        ("devices", 0, "servers"),
        ["nowhere"],
        "servers.nowhere: the server 'nowhere' does not exist",
    ),
    (("devices", 0, "servers"), ["nea"], "did you mean 'near'"),
    (("devices", 0, "servers"), [3], "entry 0 is 3, it must be the name of a server"),
    (("devices", 0, "servers"), ["near", "near"], "'near' stands twice"),
    (("devices", 0, "servers"), {"near": {"rate": "3 Mbit/s"}}, "'downlink' and 'uplink'"),
    (("servers", 0, "seats"), 0, "seats"),
    (("servers", 0, "rate"), "3 Mbit/s", "state it in 'links'"),
    (("precision",), {"up": [7]}, "entry 0 is 7, there are codecs for 32, 16, 8, 4 bits"),
    (("precision",), {"up": []}, "must be a list of bits"),
    (("precision",), {"up": [8, 8]}, "which stands twice"),
    (("precision",), {"up": [32, 8], "up_distortion": [1]}, "1 entries for the 2 of up"),
    (("precision",), {"up": [32, 8], "limit": 1}, "limit needs 'up_distortion'"),
]


@pytest.mark.parametrize(("path", "value", "words"), BAD)
def test_mistakes_are_told_by_field(path, value, words):
    """One sentence with the field, the value and the mend."""
    document = copy.deepcopy(DOCUMENT)
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(InputError, match=re.escape(words)):
        Scenario.from_dict(document)


def test_by_group_is_refused_by_name(scenario):
    """Plans by group are of cuts alone."""
    with pytest.raises(InputError, match="by_group: is for devices that choose a cut alone"):
        plan(scenario(), by_group=True)


def test_a_scenario_is_written_and_read_back(scenario):
    """Links by server, seats and bits survive."""
    servers = copy.deepcopy(DOCUMENT["servers"])
    servers[0]["seats"] = 2
    first = scenario(servers=servers, precision={"up": [32, 8]})
    assert Scenario.from_dict(first.to_dict()) == first
    assert np.isfinite(first.link(first.devices[2], "uplink", first.servers[0]).rate)


POWERS = {"a": (2.0, 0.5), "b": (1.0, 0.3), "c": (6.0, 1.0)}
"""Device -> W of computing and of sending."""


def powered(**more):
    """Return the devices with powers and more fields."""
    devices = copy.deepcopy(DOCUMENT["devices"])
    for device in devices:
        computing, sending = POWERS[device["name"]]
        device |= {"compute_power": f"{computing} W", "transmit_power": f"{sending} W"}
        device |= {name: values[device["name"]] for name, values in more.items()}
    return devices


@pytest.mark.parametrize("objective", ["energy", "latency_energy"])
def test_energy_and_priorities_by_hand(scenario, objective):
    """All 216 plans: seconds times priorities, and the price of joules of computing and sending."""
    priority, price = {"a": 3.0, "b": 1.0, "c": 0.5}, 0.7
    loaded = scenario(devices=powered(priority=priority), tradeoff={"seconds_per_joule": price})
    made = plan(loaded, objective=objective)
    assert made.result["outcome"] == "optimal"
    best = math.inf
    for picked in itertools.product(ALL, repeat=3):
        value = 0.0
        for server in SERVERS:
            rows = [
                (priority[n], by_hand(n, s, c), POWERS[n])
                for n, (s, c) in zip("abc", picked, strict=True)
                if s == server
            ]
            joule = sum(watt * row[3] + radio * row[1] for _, row, (watt, radio) in rows)
            if objective == "energy":
                value += joule
                continue
            for resource in range(3):
                value += sum(math.sqrt(w * row[resource]) for w, row, _ in rows) ** 2
            value += sum(w * row[3] for w, row, _ in rows) + price * joule
        best = min(best, value)
    assert made.result["objective"] == pytest.approx(best, rel=1e-9)
    row = made.prediction["devices"][0]
    _, up, _, own = by_hand("a", row["server"], row["cut"])
    assert row["energy_j"] == pytest.approx(2.0 * own + 0.5 * up, rel=1e-12)
    assert open_plan(Plan.from_dict(made.to_dict())).decision is not None


def test_energy_needs_powers(scenario):
    """Without them the objective is refused by the field that is missing."""
    with pytest.raises(InputError, match="compute_power and transmit_power of every device"):
        plan(scenario(), objective="energy")


def test_bits_that_are_all_too_coarse_are_named(scenario):
    """The limit of each device, and what the best of the bits distort."""
    bits = {"up": [8], "up_distortion": [0.3], "device_limit": 0.1}
    message = plan(scenario(precision=bits)).result["message"]
    assert "precision.device_limit is 0.1, and the bits that distort least take 0.3" in message


def test_a_single_server_takes_seats_and_bits(scenario):
    """Seats bind where there is one server too; two devices find no third seat."""
    servers = [DOCUMENT["servers"][1] | {"seats": 2}]
    devices = copy.deepcopy(DOCUMENT["devices"])
    del devices[2]["servers"]
    message = plan(scenario(servers=servers, devices=devices)).result["message"]
    assert "far has 2 seats for the 3 devices" in message
    servers[0]["seats"] = 3
    made = plan(scenario(servers=servers, devices=devices))
    free = plan(scenario(servers=DOCUMENT["servers"][1:], devices=devices))
    assert made.result["objective"] == pytest.approx(free.result["objective"], rel=1e-9)


def test_the_memory_of_all_servers_is_too_small():
    """Copies that no servers hold: the sum of their memories, and what would do."""
    servers = [
        {"name": name, "compute": "1 TFLOP/s", "memory": "1 MB"} for name in ("first", "second")
    ]
    device = {"name": "pi", "count": 3, "compute": "2 GFLOP/s", "samples": 40, "batch_size": 10}
    document = {
        "format": "splitopt-scenario",
        "version": 1,
        "model": "resnet18-imagenet",
        "links": {"downlink": "90 Mbit/s", "uplink": "70 Mbit/s"},
        "servers": servers,
        "devices": [device | {"memory": "200 MB"}],
    }
    message = plan(Scenario.from_dict(document)).result["message"]
    assert "first, second hold a copy" in message
    assert "their memory together is 2 MB" in message
    for server in servers:
        server["memory"] = "64 GiB"
    assert plan(Scenario.from_dict(document)).result["outcome"] == "optimal"


def test_consensus_between_processes_has_one_server(scenario):
    """Refused before any process is started."""
    pytest.importorskip("torch", reason="needs the extra 'train'")
    from splitopt.consensus.launch import run_parties

    with pytest.raises(InputError, match="between processes devices choose a cut at one server"):
        run_parties(scenario(), PriceConsensus())


def test_the_command_line_ends_with_1_where_no_server_is_reached(scenario, folder, capsys):
    """As every infeasible scenario does, with the device's name; the report is read again."""
    devices = copy.deepcopy(DOCUMENT["devices"])
    devices[1]["servers"] = []
    scenario(devices=devices)
    assert run(["plan", str(folder / "scenario.json")]) == 1
    printed = capsys.readouterr()
    assert "b reaches no server" in printed.out + printed.err
    scenario()
    made = str(folder / "plan.json")
    assert run(["plan", str(folder / "scenario.json"), "-o", made]) == 0
    assert run(["report", made, "-o", str(folder / "page.html")]) == 0
    page = (folder / "page.html").read_text()
    assert "What each choice was worth" in page
    assert "everyone at the nearest server" in page


def test_a_plan_tabulates_its_choices_once(scenario, monkeypatch):
    """Its problem, its rows, what more is worth and what each choice was worth look at one."""
    made = []

    def counted(*given):
        made.append(choice_tables.choices_of(*given))
        return made[-1]

    for module in (from_scenario, assigned):
        monkeypatch.setattr(module, "choices_of", counted)
    found = plan(scenario())
    assert found.result["outcome"] == "optimal"
    assert found.prediction["freedoms"]
    assert len(made) == 1
