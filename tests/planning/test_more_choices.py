"""Ranks of adapters and powers of radios chosen with all else, against formulas by hand."""

from __future__ import annotations

import copy
import itertools
import json
import math
import re

import numpy as np
import pytest

from splitopt import (
    InfeasibleError,
    InputError,
    ModelProfile,
    Scenario,
    diff_plans,
    plan,
    simulate,
    solve,
)
from splitopt.cli.entry import run
from splitopt.planning.comparison.comparing import compare_schemes
from splitopt.planning.planner import open_plan
from splitopt.plans import Plan
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.profiles.counting.adapter_ranks import at_rank

# A model of three layers by hand. At rank r a column is the first number + r times the second.
MODEL_BYTES = [(0, 800), (0, 2400), (0, 4000)]
SMASHED = [4000, 1000, 0]
FORWARD = [(2e6, 1e5), (5e6, 4e5), (9e6, 6e5)]
BACKWARD = [(2e6, 2e5), (5e6, 8e5), (9e6, 12e5)]
FIXED = [(50_000, 1600), (200_000, 4800), (400_000, 8000)]
SAVED = [(1000, 40), (3000, 120), (5000, 200)]
RANK = 4
"""Of the profile's own table."""


def at(pairs, rank):
    """Return a column at a rank."""
    return [first + rank * more for first, more in pairs]


def rest(pairs):
    """Return what a cumulative column leaves to the server."""
    return [(pairs[-1][0] - first, pairs[-1][1] - more) for first, more in pairs]


def apart(pairs):
    """Return the layers of a cumulative column by themselves."""
    before = [(0, 0), *pairs[:-1]]
    return [(a - c, b - d) for (a, b), (c, d) in zip(pairs, before, strict=True)]


COLUMNS = {
    "device_forward_flop": FORWARD,
    "device_backward_flop": BACKWARD,
    "server_forward_flop": rest(FORWARD),
    "server_backward_flop": rest(BACKWARD),
    "device_model_bytes": MODEL_BYTES,
    "device_memory_fixed_bytes": FIXED,
    "device_memory_per_sample_bytes": SAVED,
    "layer_parameter_bytes": [(50_000, 800), (150_000, 1600), (200_000, 1600)],
    "layer_trained_bytes": apart(MODEL_BYTES),
    "layer_saved_bytes": apart(SAVED),
}

DOCUMENT = {
    "format": "splitopt-scenario",
    "version": 1,
    "model": {"file": "model.json"},
    "training": {"epochs": 2, "rounds": 3},
    "links": {
        "downlink": "20 Mbit/s",
        "uplink": {"bandwidth": "2 MHz", "channel_gain": 1e-9, "noise_density": "1e-17 W/Hz"},
    },
    "servers": [
        {"name": "near", "compute": "1 GFLOP/s"},
        {"name": "far", "compute": "5 GFLOP/s", "links": {"uplink": {"channel_gain": 4e-10}}},
    ],
    "devices": [
        {"name": "a", "compute": "100 MFLOP/s", "samples": 50, "batch_size": 10},
        {"name": "b", "compute": "50 MFLOP/s", "samples": 30, "batch_size": 10},
        {"name": "c", "compute": "400 MFLOP/s", "samples": 101, "batch_size": 10},
    ],
    "adapters": {"rank": [2, 8]},
}
POWERS = {"min": "20 mW", "max": "320 mW", "steps": 3}
WATT = [0.32, 0.08, 0.02]
"""Two steps of a quarter, which is 6 dB each."""
GAIN = {"near": 1e-9, "far": 4e-10}
SPEEDS = {"a": 100e6, "b": 50e6, "c": 400e6}
SAMPLES = {"a": 50, "b": 30, "c": 101}
COMPUTING = {"a": 2.0, "b": 1.0, "c": 6.0}
SERVERS = {"near": 1e9, "far": 5e9}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with the profile of the model at its own rank."""
    place = tmp_path_factory.mktemp("more-choices")
    document = {
        "format": "splitopt-profile",
        "version": 1,
        "name": "three",
        "layers": ["one", "two", "three"],
        "smashed_bytes": SMASHED,
        "gradient_bytes": SMASHED,
        "work_unit": "FLOP",
        "provenance": {"kind": "computed", "source": "by hand"},
        **{name: at(pairs, RANK) for name, pairs in COLUMNS.items()},
        "adapter_ranks": {
            "rank": RANK,
            "most": 32,
            "per_rank": {name: [more for _, more in own] for name, own in COLUMNS.items()},
        },
    }
    (place / "model.json").write_text(json.dumps(document))
    return place


@pytest.fixture
def scenario(folder):
    """Return a function that loads the scenario with some changes at the top."""

    def load(**changes):
        document = copy.deepcopy(DOCUMENT) | changes
        document = {key: value for key, value in document.items() if value is not None}
        (folder / "scenario.json").write_text(json.dumps(document))
        return Scenario.load(folder / "scenario.json")

    return load


def devices(count=3, **more):
    """Return the first devices with powers and more fields; a range of powers by default."""
    found = copy.deepcopy(DOCUMENT["devices"][:count])
    for device in found:
        device |= {"compute_power": f"{COMPUTING[device['name']]} W", "transmit_power": POWERS}
        device |= more
    return found


def by_hand(name, server, cut, rank=RANK, bits=32, clock=1.0, watt=0.32):
    """Seconds of download, upload, server and device, and joules, all written out."""
    samples, epochs = SAMPLES[name], 2
    batches = [10] * (samples // 10) + [1] * (samples % 10)
    plain = SMASHED[cut - 1]
    up = sum(min(n * plain, n * plain / 4 + 5) if bits == 8 else n * plain for n in batches)
    done = at(FORWARD, rank)[cut - 1] + at(BACKWARD, rank)[cut - 1]
    whole = at(FORWARD, rank)[-1] + at(BACKWARD, rank)[-1]
    model = at(MODEL_BYTES, rank)[cut - 1]
    rate = 2e6 * math.log2(1 + watt * GAIN[server] / (2e6 * 1e-17))
    seconds = (
        8 * (model + epochs * samples * plain) / 20e6,
        8 * (model + epochs * up) / rate,
        epochs * samples * (whole - done) / SERVERS[server],
        epochs * samples * done / (SPEEDS[name] * clock),
    )
    return seconds, COMPUTING[name] * clock**3 * seconds[3] + watt * seconds[1]


KINDS = {
    "server": tuple(SERVERS),
    "cut": (1, 2, 3),
    "rank": (2, 8),
    "bits": (32, 8),
    "clock": (1.2, 0.6),
    "watt": tuple(WATT),
}


def enumerated(names, kinds, keep=lambda rows: True, price=None, energy_only=False):
    """Return the least sum of latencies over all choices of all devices, NumPy doing the sums.

    `keep` takes the picked options of all devices, a list of dicts of arrays, and says which plans
    are allowed.
    """
    options = [dict(zip(kinds, row, strict=True)) for row in itertools.product(*kinds.values())]
    tables = []
    for name in names:
        work = np.zeros((len(options), 6))
        own = np.zeros(len(options))
        for o, option in enumerate(options):
            seconds, joule = by_hand(name, **option)
            k = list(SERVERS).index(option["server"])
            if not energy_only:
                work[o, 3 * k : 3 * k + 3] = seconds[:3]
                own[o] = seconds[3]
            own[o] += (price or 0.0) * joule
        tables.append((np.sqrt(work), own))
    picked = np.indices((len(options),) * len(names)).reshape(len(names), -1)
    roots = sum(root[rows] for (root, _), rows in zip(tables, picked, strict=True))
    value = (roots**2).sum(axis=1)
    value += sum(own[rows] for (_, own), rows in zip(tables, picked, strict=True))
    chosen = [
        {kind: np.array([one[kind] for one in options])[rows] for kind in kinds} for rows in picked
    ]
    allowed = keep(chosen)
    return float(np.where(allowed, value, np.inf).min())


def test_tables_are_the_formulas(scenario):
    """Every choice of every kind: seconds of each resource, own seconds and joules."""
    clock = {"min": 0.6, "max": 1.2, "steps": 2}
    loaded = scenario(devices=devices(frequency=clock), precision={"up": [32, 8], "down": [32]})
    problem = CutAndResources.from_scenario(loaded)
    names = {text: o for o, text in enumerate(problem.choice_names)}
    assert len(names) == 2 * 3 * 2 * 2 * 2 * 3
    layers = ["one", "two", "three"]
    for row, name in enumerate("abc"):
        for picked in itertools.product(*KINDS.values()):
            own = dict(zip(KINDS, picked, strict=True))
            place = KINDS["clock"].index(own["clock"]), WATT.index(own["watt"])
            o = names[
                f"{own['server']}, cut {own['cut']} ({layers[own['cut'] - 1]}), rank "
                f"{own['rank']}, {own['bits']} bit up, clock {place[0] + 1} of 2, power "
                f"{place[1] + 1} of 3"
            ]
            seconds, joule = by_hand(name, **own)
            k = list(SERVERS).index(own["server"])
            assert problem.work_s[row, o, 3 * k : 3 * k + 3] == pytest.approx(seconds[:3])
            assert problem.own_s[row, o] == pytest.approx(seconds[3])
            assert problem.energy_j[row, o] == pytest.approx(joule)
    assert problem.allowed.all()


@pytest.mark.slow
def test_the_best_of_all_kinds_together(scenario):
    """Two devices, 144 choices each: 20,736 plans, of which quality and energy leave some."""
    clock = {"min": 0.6, "max": 1.2, "steps": 2}
    loaded = scenario(
        devices=devices(2, frequency=clock),
        precision={"up": [32, 8], "up_distortion": [0, 1], "down": [32], "limit": 1},
        adapters={"rank": [2, 8], "least_total": 10},
        energy={"limit_joule": 60},
    )
    made = plan(loaded)
    assert made.result["outcome"] == "optimal"

    def keep(rows):
        quality = sum(row["rank"] for row in rows) >= 10
        coarse = sum((row["bits"] == 8).astype(int) for row in rows) <= 1
        spent = sum(joules(name, row) for name, row in zip("ab", rows, strict=True))
        return quality & coarse & (spent <= 60)

    best = enumerated("ab", KINDS, keep)
    assert made.result["objective"] == pytest.approx(best, rel=1e-9)
    assert enumerated("ab", KINDS) < best  # the limits bind
    rows = made.prediction["devices"]
    assert sum(row["adapter_rank"] for row in rows) >= 10
    freedoms = {row["freedom"] for row in made.prediction["freedoms"]}
    assert freedoms == {"server", "cut", "rank", "up", "clock", "power"}
    assert open_plan(Plan.from_dict(json.loads(json.dumps(made.to_dict())))).decision is not None


def joules(name, row):
    """Return the joules (plans,) of a device's picked options, each kind looked up once."""
    keys = list(row)
    options = list(itertools.product(*(KINDS[kind] for kind in keys)))
    known = {own: by_hand(name, **dict(zip(keys, own, strict=True)))[1] for own in options}
    picked = zip(*(row[kind].tolist() for kind in keys), strict=True)
    return np.array([known[own] for own in picked])


@pytest.mark.slow
@pytest.mark.parametrize("count", [3, 4])
@pytest.mark.parametrize("least", [None, 20, 30])
def test_more_devices_with_ranks_and_powers(scenario, count, least):
    """Up to four devices with all servers, cuts, ranks and powers at the last two cuts."""
    kinds = {kind: KINDS[kind] for kind in ("server", "rank", "watt")} | {"cut": (2, 3)}
    kinds["watt"] = (0.32, 0.02)
    power = POWERS | {"steps": 2}
    fleet = devices(transmit_power=power)
    names = "abc"
    if count == 4:
        fleet.append(copy.deepcopy(fleet[0]) | {"name": "d"})
        names = "abca"
        kinds["cut"] = (3,)
    loaded = scenario(
        devices=fleet,
        adapters={"rank": [2, 8]} | ({} if least is None else {"least_total": least}),
    )
    if least is not None and least > 8 * count:
        with pytest.raises(InfeasibleError, match=r"adapters\.least_total is 30"):
            CutAndResources.from_scenario(loaded)
        return
    problem = CutAndResources.from_scenario(loaded)
    cuts = [f"cut {cut} " for cut in kinds["cut"]]
    deep = [any(cut in name for cut in cuts) for name in problem.choice_names]
    found = solve(problem.restricted(problem.allowed & np.array(deep)))

    def keep(rows):
        return least is None or sum(row["rank"] for row in rows) >= least

    best = enumerated(names, kinds, keep)
    assert found.objective == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("objective", ["energy", "latency_energy"])
def test_energy_with_ranks_and_powers(scenario, objective):
    """All plans of two devices; sending at the least power spends least, at any cut."""
    price = 0.7
    loaded = scenario(devices=devices(2), tradeoff={"seconds_per_joule": price})
    made = plan(loaded, objective=objective)
    kinds = {kind: KINDS[kind] for kind in ("server", "cut", "rank", "watt")}
    only = objective == "energy"
    best = enumerated("ab", kinds, price=1.0 if only else price, energy_only=only)
    assert made.result["objective"] == pytest.approx(best, rel=1e-9)
    if only:
        assert {row["transmit_power_w"] for row in made.prediction["devices"]} == {0.02}


def test_the_highest_power_is_best_without_energy(scenario):
    """Then the range changes nothing, and the plan says that the freedom was worth nothing."""
    made = plan(scenario(devices=devices()))
    plain = plan(scenario(devices=devices(transmit_power="320 mW")))
    assert made.result["objective"] == pytest.approx(plain.result["objective"], rel=1e-9)
    assert {row["transmit_power_w"] for row in made.prediction["devices"]} == {0.32}
    (row,) = [row for row in made.prediction["freedoms"] if row["freedom"] == "power"]
    assert row["without"] == "everyone at its highest power"
    assert row["saves"] == pytest.approx(0, abs=1e-9 * made.result["objective"])


@pytest.mark.slow
def test_a_limit_on_energy_or_carbon_turns_powers_down(scenario):
    """Grams are joules times the hour's rate, so that the same plan is found."""
    fleet = devices(compute_power="1 mW")
    free = plan(scenario(devices=fleet))
    spent = free.prediction["energy_j"]
    least = plan(scenario(devices=fleet), objective="energy").result["objective"]
    assert least < 0.5 * spent
    limit = (least + spent) / 2
    made = plan(scenario(devices=fleet, energy={"limit_joule": limit}))
    assert made.prediction["energy_j"] <= limit * (1 + 1e-9)
    assert min(row["transmit_power_w"] for row in made.prediction["devices"]) < 0.32
    grams = {"carbon_grams_per_kwh": [720], "carbon_limit_grams": 720 * limit / 3.6e6}
    green = plan(scenario(devices=fleet, energy=grams))
    assert green.result["objective"] == pytest.approx(made.result["objective"], rel=1e-9)
    saves = {row["freedom"]: row["saves"] for row in made.prediction["freedoms"]}
    assert saves["power"] > 0


@pytest.mark.slow
def test_the_lowest_rank_is_best_without_a_reason(scenario):
    """A floor of each device, of all together, and a quality of the user's own are reasons."""
    plain = devices(transmit_power="320 mW")
    ranks = {"rank": [2, 8, 16]}
    free = plan(scenario(devices=plain, adapters=ranks))
    assert {row["adapter_rank"] for row in free.prediction["devices"]} == {2}
    floor = plan(scenario(devices=plain, adapters=ranks | {"device_least": 3}))
    assert {row["adapter_rank"] for row in floor.prediction["devices"]} == {8}
    total = plan(scenario(devices=plain, adapters=ranks | {"least_total": 26}))
    assert sum(row["adapter_rank"] for row in total.prediction["devices"]) >= 26
    (row,) = total.prediction["budgets"]
    assert row["name"] == "adapter quality below the best"
    assert row["limit"] == 3 * 16 - 26
    quality = ranks | {"quality": [0.1, 0.9, 1], "least_total": 2.8}
    valued = plan(scenario(devices=plain, adapters=quality))
    assert {row["adapter_rank"] for row in valued.prediction["devices"]} == {8, 16}
    worth = {0.1: 2, 0.9: 8, 1: 16}
    kinds = {"server": KINDS["server"], "cut": KINDS["cut"], "rank": (2, 8, 16)}
    value = {rank: quality for quality, rank in worth.items()}

    def keep(rows):
        return sum(np.vectorize(value.get)(row["rank"]) for row in rows) >= 2.8 - 1e-9

    best = enumerated("abc", kinds, keep)
    assert valued.result["objective"] == pytest.approx(best, rel=1e-9)


def test_memory_at_the_rank_that_is_chosen(scenario):
    """A mini-batch of 10 at the first cut and rank 8 fits; at 16 or further on nothing does."""
    need = at(FIXED, 8)[0] + 10 * at(SAVED, 8)[0]
    small = devices(1, transmit_power="320 mW", memory=f"{need} B")
    made = plan(scenario(devices=small, adapters={"rank": [16, 8], "device_least": 3}))
    (row,) = made.prediction["devices"]
    assert (row["cut"], row["adapter_rank"], row["largest_batch"]) == (1, 8, 10)
    small[0]["memory"] = f"{need - 1} B"
    made = plan(scenario(devices=small, adapters={"rank": [16, 8]}))
    assert made.result["outcome"] == "infeasible"
    assert "the largest batch that fits has 9" in made.result["message"]


def test_servers_hold_copies_at_the_rank_that_is_chosen(scenario):
    """A budget of the parameters behind the cut, the gradients of adapters and saved tensors."""
    servers = copy.deepcopy(DOCUMENT["servers"])
    for server in servers:
        server["memory"] = "900 kB"
    problem = CutAndResources.from_scenario(
        scenario(servers=servers, devices=devices(transmit_power="320 mW"))
    )
    use = problem.budgets.table()
    o = problem.choice_names.index("far, cut 1 (one), rank 8")
    layers = COLUMNS["layer_parameter_bytes"][1:], apart(MODEL_BYTES)[1:], apart(SAVED)[1:]
    parameters, trained, saved = (sum(at(pairs, 8)) for pairs in layers)
    wanted = parameters + trained + 10 * saved
    assert use[0, o].tolist() == [0, wanted]


@pytest.mark.slow
def test_simulation_and_comparison_know_ranks(scenario):
    """The replay ends when the plan promises; the model's bytes are those of each rank."""
    loaded = scenario(devices=devices(), adapters={"rank": [2, 8], "least_total": 12})
    made = plan(loaded)
    rows = made.prediction["devices"]
    assert len({row["adapter_rank"] for row in rows}) == 2
    replay = simulate(made)
    assert replay.simulated_s == pytest.approx(made.prediction["round_s"], rel=1e-9)
    line = replay.timeline
    for n, row in enumerate(rows):
        own = (line.owner == n) & (line.phase == line.phases.index("model download"))
        seconds = (line.end_s - line.start_s)[own].sum()
        wanted = 8 * at(MODEL_BYTES, row["adapter_rank"])[row["cut"] - 1] / 20e6
        assert seconds == pytest.approx(wanted / row["download_share"], rel=1e-9)
    found = compare_schemes(loaded)
    assert found.row("sflv1").status == "not_comparable"
    mine = found.row("dp_mora_sum")
    assert mine.traffic_bytes == pytest.approx(
        sum(
            2 * at(MODEL_BYTES, row["adapter_rank"])[row["cut"] - 1]
            + 2 * 2 * SAMPLES[row["name"]] * SMASHED[row["cut"] - 1]
            for row in rows
        )
    )


BAD = [
    (("adapters",), {"rank": []}, "must be a list of ranks, such as [4, 8, 16]"),
    (("adapters",), {"rank": [4, 0]}, "entry 1 is 0, it must be a whole number >= 1"),
    (("adapters",), {"rank": [4, 4]}, "entry 1 is 4, which stands twice"),
    (("adapters",), {"rank": ["4"]}, "entry 0 is '4', it must be a whole number"),
    (("adapters",), {"rank": [4, 8], "quality": [1]}, "1 entries for the 2 of rank"),
    (("adapters",), {"ranks": [4, 8]}, "did you mean 'rank'?"),
    (("devices", 0, "transmit_power"), {"min": "1 W", "max": "20 mW"}, "above max"),
    (("devices", 0, "transmit_power"), {"min": "1 mW"}, "transmit_power.max: this field is miss"),
    (("devices", 0, "transmit_power"), {"min": "1 mW", "max": "1 W", "steps": 1}, "steps: is 1"),
    (("devices", 0, "uplink"), "4 Mbit/s", "is a range, and its uplink to near has a rate"),
    (("devices", 0, "snr"), 20, "is a range, and its uplink to near has an snr"),
    (
        ("devices", 0, "uplink"),
        {"transmit_power": "1 W"},
        "is a range, and its uplink to near has a power of its own",
    ),
]


@pytest.mark.parametrize(("path", "value", "words"), BAD)
def test_mistakes_are_told_by_field(path, value, words):
    """One sentence with the field, the value and the mend."""
    document = copy.deepcopy(DOCUMENT) | {"devices": devices()}
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(InputError, match=re.escape(words)):
        Scenario.from_dict(document)


def test_what_cannot_be_chosen_is_refused_by_name(scenario, folder):
    """Profiles without adapters, ranks beyond a layer's size, and measured machines."""
    plain = devices(transmit_power="320 mW")
    with pytest.raises(InputError, match=r"adapters\.rank: adapters of rank 64 are too large"):
        plan(scenario(devices=plain, adapters={"rank": [2, 64]}))
    with pytest.raises(InputError, match=r"does not say what a rank of adapters costs; profile"):
        plan(scenario(devices=plain, model="resnet18-imagenet"))
    machine = [plain[0] | {"machine": "board"}]
    del machine[0]["compute"]
    with pytest.raises(InputError, match=r"adapters: need work at every rank, and the seconds of"):
        plan(scenario(devices=machine))
    least = {"rank": [2, 8], "least_total": 25}
    made = plan(scenario(devices=plain, adapters=least))
    assert made.result["outcome"] == "infeasible"
    assert (
        "adapters.least_total is 25, and the 3 devices with the best rank have 24 together"
        in (made.result["message"])
    )
    made = plan(scenario(devices=plain, adapters={"rank": [2, 8], "device_least": 9}))
    assert (
        "adapters.device_least is 9, and the best of the ranks has 8: lower it"
        in (made.result["message"])
    )
    scenario(devices=plain, adapters=least)
    assert run(["plan", str(folder / "scenario.json")]) == 1


def test_a_scenario_is_written_and_read_back(scenario):
    """Ranges of powers and ranks survive, and the fields that others leave unused are named."""
    first = scenario(devices=devices(), adapters={"rank": [2, 8], "quality": [1, 3]})
    assert Scenario.from_dict(first.to_dict()) == first
    assert first.devices[0].transmit_power.powers() == pytest.approx(WATT)
    single = scenario(devices=devices(), servers=DOCUMENT["servers"][:1])
    notes = " ".join(plan(single, problem="common_cut").notes)
    assert "adapters" in notes
    assert "devices[].transmit_power.min" in notes
    assert "devices[].transmit_power.max" not in notes


@pytest.mark.slow
def test_the_report_has_a_column_for_each(scenario, folder, capsys):
    scenario(devices=devices(), adapters={"rank": [2, 8], "least_total": 12})
    made = str(folder / "plan.json")
    assert run(["plan", str(folder / "scenario.json"), "-o", made]) == 0
    printed = capsys.readouterr().out
    assert "Rank" in printed
    assert "Power W" in printed
    assert "the best rank for all: rank 8" in printed
    assert "everyone at its highest power" in printed
    assert "Adapter quality below the best" in printed
    assert run(["report", made, "-o", str(folder / "page.html")]) == 0
    assert "adapter rank" in (folder / "page.html").read_text()


def test_profiles_at_any_rank_are_one_another(folder):
    """From the table of any rank that of any other follows; what was measured is left out."""
    first = ModelProfile.load(folder / "model.json")
    for rank in (1, 2, 8, 32):
        other = at_rank(first, rank)
        for name, pairs in COLUMNS.items():
            assert getattr(other, name).tolist() == at(pairs, rank)
        assert at_rank(other, RANK) == first
        assert ModelProfile.from_dict(other.to_dict(), "again") == other


def test_the_difference_of_plans_names_ranks_and_powers(scenario):
    """Who has another rank or power in the second plan, and from what to what."""
    floors = [{"rank": [2, 8], "device_least": least} for least in (1, 8)]
    first, second = (plan(scenario(devices=devices(1), adapters=own)) for own in floors)
    (change,) = [one for one in diff_plans(first, second).decision if one.names]
    assert (change.before["adapter_rank"], change.after["adapter_rank"]) == (2, 8)
