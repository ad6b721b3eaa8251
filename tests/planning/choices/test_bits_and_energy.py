"""Bits, energy and priorities as choices, against formulas written out by hand."""

from __future__ import annotations

import copy
import itertools
import math
import re

import numpy as np
import pytest

from splitopt import InputError, Scenario, plan
from splitopt.cli.entry import run
from splitopt.planning.planner import open_plan
from splitopt.plans import Plan
from splitopt.problems.cut_and_resources import (
    CutAndResources,
    assigned,
    choice_tables,
    from_scenario,
)
from splitopt.solvers.cut_and_resources.price_consensus import PriceConsensus
from tests.planning.choices.cases import (
    ALL,
    DOCUMENT,
    SAMPLES,
    SERVERS,
    by_hand,
)


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
