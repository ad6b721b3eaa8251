"""Clocks of devices and limits on energy, against formulas written out by hand."""

from __future__ import annotations

import itertools
import json
import math

import pytest
from scipy.optimize import minimize_scalar

from splitopt import InputError, Scenario, plan
from splitopt.planning.planner import open_plan
from splitopt.plans import Plan

SECONDS = {1: 6.0, 2: 20.0}
"""Cut -> seconds of the device's part in a round at its stated clock, see `document`."""
UP = {1: 8 * (1e4 + 10 * 1e5) / 8e6, 2: 8 * (2e4 + 0) / 8e6}
DOWN = {1: 8 * (1e4 + 10 * 1e5) / 1e7, 2: 8 * 2e4 / 1e7}
SERVED = {1: 10 * 14e6 / 1e8, 2: 0.0}
WATT, RADIO = 5.0, 0.8


@pytest.fixture
def scenario(tmp_path):
    """Return a function that loads a fleet of equal devices with some changes."""
    profile = {
        "format": "splitopt-profile",
        "version": 1,
        "name": "two",
        "layers": ["one", "two"],
        "device_model_bytes": [1e4, 2e4],
        "smashed_bytes": [1e5, 0.0],
        "gradient_bytes": [1e5, 0.0],
        "device_forward_flop": [2e6, 6e6],
        "device_backward_flop": [4e6, 14e6],
        "server_forward_flop": [4e6, 0.0],
        "server_backward_flop": [10e6, 0.0],
        "work_unit": "FLOP",
        "provenance": {"kind": "computed", "source": "by hand"},
    }
    (tmp_path / "model.json").write_text(json.dumps(profile))

    def load(count=1, device=None, **changes):
        one = {
            "name": "phone",
            "count": count,
            "compute": "10 MFLOP/s",
            "samples": 10,
            "compute_power": f"{WATT} W",
            "transmit_power": f"{RADIO} W",
            "frequency": {"min": 0.25, "max": 1.5, "steps": 3},
        }
        document = {
            "format": "splitopt-scenario",
            "version": 1,
            "model": {"file": "model.json"},
            "links": {"downlink": "10 Mbit/s", "uplink": "8 Mbit/s"},
            "servers": [{"name": "edge", "compute": "100 MFLOP/s"}],
            "devices": [one | (device or {})],
        }
        (tmp_path / "scenario.json").write_text(json.dumps(document | changes))
        return Scenario.load(tmp_path / "scenario.json")

    return load


@pytest.mark.parametrize("price", [1e-3, 0.02, 0.3, 5.0])
def test_the_clock_of_a_price_is_the_best_of_all(scenario, price):
    """Over every clock of the range, not those of the grid alone, found by another minimiser."""
    made = plan(scenario(tradeoff={"seconds_per_joule": price}), objective="latency_energy")

    def value(clock, cut):
        own = SECONDS[cut] / clock
        joule = WATT * clock**3 * own + RADIO * UP[cut]
        return DOWN[cut] + UP[cut] + SERVED[cut] + own + price * joule

    best = min(
        minimize_scalar(
            value, (0.25, 1.5), (0.25, 1.5), (cut,), "bounded", options={"xatol": 1e-10}
        ).fun
        for cut in (1, 2)
    )
    # the minimiser stays a little within the ends of the range
    assert best * (1 - 1e-6) <= made.result["objective"] <= best * (1 + 1e-9)
    (row,) = made.prediction["devices"]
    assert 0.25 <= row["clock"] <= 1.5
    joule = WATT * row["clock"] ** 2 * SECONDS[row["cut"]] + RADIO * UP[row["cut"]]
    assert row["energy_j"] == pytest.approx(joule, rel=1e-12)


def test_a_limit_on_all_energy_is_kept_exactly(scenario):
    """Two devices, all 36 plans by hand: the best within the joules."""
    limit, clocks = 90.0, (1.5, 0.875, 0.25)
    made = plan(scenario(count=2, energy={"limit_joule": limit}))
    assert made.result["outcome"] == "optimal"
    best = math.inf
    for picked in itertools.product(itertools.product((1, 2), clocks), repeat=2):
        joule = sum(WATT * f**2 * SECONDS[cut] + RADIO * UP[cut] for cut, f in picked)
        if joule > limit:
            continue
        value = sum(SECONDS[cut] / f for cut, f in picked)
        for table in (DOWN, UP, SERVED):
            value += sum(math.sqrt(table[cut]) for cut, _ in picked) ** 2
        best = min(best, value)
    assert made.result["objective"] == pytest.approx(best, rel=1e-9)
    assert made.prediction["energy_j"] <= limit
    (row,) = [row for row in made.prediction["budgets"] if row["name"] == "energy"]
    assert row["used"] == pytest.approx(made.prediction["energy_j"], rel=1e-12)
    assert open_plan(Plan.from_dict(made.to_dict())).decision is not None


@pytest.mark.slow
def test_carbon_is_energy_at_an_hour(scenario):
    """36 g/kWh are 1e-5 g/J: a limit in grams is the limit in joules, at the dirtier hour half."""
    trace = [36.0] * 12 + [72.0] * 12
    by_joule = plan(scenario(count=2, energy={"limit_joule": 90}))
    limits = {"carbon_grams_per_kwh": trace, "carbon_limit_grams": 90e-5}
    by_gram = plan(scenario(count=2, energy=limits))
    assert by_gram.result["objective"] == pytest.approx(by_joule.result["objective"], rel=1e-12)
    dirty = plan(scenario(count=2, energy=limits | {"hour": 20}))
    half = plan(scenario(count=2, energy={"limit_joule": 45}))
    assert dirty.result["objective"] == pytest.approx(half.result["objective"], rel=1e-12)


def test_a_limit_of_each_device_that_nothing_meets_is_named(scenario):
    """The least is 6 s at a quarter of the clock, 1.875 J, and sending 1 MB."""
    least = WATT * 0.25**2 * SECONDS[1] + RADIO * UP[1]
    message = plan(scenario(energy={"device_limit_joule": 1.0})).result["message"]
    assert f"the least that phone can spend in a round is {least:.6g} J" in message
    made = plan(scenario(energy={"device_limit_joule": least * 1.0001}))
    assert made.prediction["devices"][0]["clock"] == 0.25


def test_without_a_price_or_a_limit_the_clock_is_the_highest(scenario):
    """It costs nothing then; what the choice was worth is nothing."""
    made = plan(scenario())
    assert made.prediction["devices"][0]["clock"] == 1.5
    (row,) = [row for row in made.prediction["freedoms"] if row["freedom"] == "clock"]
    assert row["saves"] == pytest.approx(0, abs=1e-9)


BAD = [
    ({"device": {"frequency": {"min": 2, "max": 1}}}, "min is 2, above max, which is 1"),
    ({"energy": {"carbon_limit_grams": 1}}, "needs 'carbon_grams_per_kwh'"),
    ({"energy": {"carbon_grams_per_kwh": [1, 2]}}, "has 2 entries; give one, or 24"),
]


@pytest.mark.parametrize(("changes", "words"), BAD)
def test_mistakes_are_told(scenario, changes, words):
    """One sentence with the field, the value and the mend."""
    with pytest.raises(InputError, match=words):
        scenario(**changes)


def test_energy_that_is_not_known_cannot_be_limited(scenario):
    """The field and whose power is missing."""
    loaded = scenario(device={"compute_power": None}, energy={"limit_joule": 3})
    with pytest.raises(
        InputError, match=r"^energy: limits what is not known.*compute_power of phone"
    ):
        plan(loaded)
