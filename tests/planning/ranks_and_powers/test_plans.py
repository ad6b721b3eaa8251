"""Ranks, powers and batch sizes chosen for every device, against enumeration by hand."""

from __future__ import annotations

import copy
import itertools
import json
import math

import numpy as np
import pytest

from splitopt import (
    InfeasibleError,
    plan,
    solve,
)
from splitopt.planning.planner import open_plan
from splitopt.plans import Plan
from splitopt.problems.cut_and_resources import CutAndResources
from tests.planning.ranks_and_powers.cases import (
    BACKWARD,
    COLUMNS,
    COMPUTING,
    DOCUMENT,
    FIXED,
    FORWARD,
    MODEL_BYTES,
    POWERS,
    RANK,
    SAMPLES,
    SAVED,
    SMASHED,
    WATT,
    apart,
    at,
    devices,
)

GAIN = {"near": 1e-9, "far": 4e-10}


SPEEDS = {"a": 100e6, "b": 50e6, "c": 400e6}


SERVERS = {"near": 1e9, "far": 5e9}


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
