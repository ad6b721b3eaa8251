"""From a scenario to a plan that explains itself."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import CutAndResources, InputError, Scenario, plan, solve
from splitopt.latency.groups import groups_of


def test_the_published_setting():
    """DP-MORA section 7.2, ResNet-18, limit 0.5: the sum optimum that its tables imply."""
    made = plan(Scenario.load("dp-mora-resnet18"))
    assert made.result["outcome"] == "optimal"
    assert made.prediction["total_s"] == pytest.approx(211_966.6, rel=1e-6)
    assert made.prediction["round_s"] == pytest.approx(36_020.7, rel=1e-6)
    assert made.decision["cut"] == [5, 10, 10, 5, 10, 10, 5, 10, 10, 5]


def test_the_published_setting_as_makespan():
    """The same setting for the round time, which is what section 7 plots."""
    made = plan(Scenario.load("dp-mora-resnet18"), objective="makespan")
    assert made.result["outcome"] == "optimal"
    assert made.prediction["round_s"] == pytest.approx(31_397.4, rel=1e-6)


@pytest.mark.parametrize("objective", ["sum", "makespan"])
def test_prediction_adds_up(objective):
    """Phases add up to rounds, rounds to the objective, and the bottleneck is the slowest."""
    made = plan(Scenario.generate(seed=2, devices=6), objective=objective)
    rows = made.prediction["devices"]
    for row in rows:
        phases = [row[f"{name}_s"] for name in ("download", "device", "upload", "server")]
        assert sum(phases) == pytest.approx(row["round_s"], rel=1e-12)
    rounds = [row["round_s"] for row in rows]
    value = sum(rounds) if objective == "sum" else max(rounds)
    assert value == pytest.approx(made.result["objective"], rel=1e-12)
    assert made.prediction["training_s"] == pytest.approx(100 * max(rounds))
    slowest = rows[int(np.argmax(rounds))]
    assert made.prediction["bottleneck"]["device"] == slowest["name"]


def scaled(scenario, resource, factor):
    """Copy a generated scenario with one resource made larger by a factor."""
    document = scenario.model_dump()
    document["model"] = {"profile": scenario.model.profile}
    if resource == "server":
        document["servers"][0]["compute"] *= factor
    elif resource in ("downlink", "uplink"):
        for device in document["devices"]:
            device[resource]["rate"] *= factor
    else:
        (device,) = [d for d in document["devices"] if f"device {d['name']}" == resource]
        device["compute"] *= factor
    return Scenario.from_si(document)


@pytest.mark.one_quick
@pytest.mark.parametrize("objective", ["sum", "makespan"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_worth_is_the_derivative_of_the_optimal_value(objective, seed):
    """Solving again with a little more and a little less of each resource gives the worth."""
    scenario = Scenario.generate(seed=seed, devices=4)
    made = plan(scenario, objective=objective)
    step = 1e-6
    for row in made.prediction["worth"]:
        more, less = (
            solve(
                CutAndResources.from_scenario(
                    scaled(scenario, row["resource"], factor), objective=objective
                )
            ).objective
            for factor in (1 + step, 1 - step)
        )
        slope = (less - more) / (2 * step)
        assert row["per_percent"] == pytest.approx(slope / 100, rel=1e-4, abs=1e-6)


def test_worth_by_unit_fits_the_worth_by_percent():
    """Where all devices share a capacity, a unit is its fraction of the capacity."""
    made = plan(Scenario.load("dp-mora-resnet18"))
    for row in made.prediction["worth"]:
        assert row["per_unit"] * row["capacity"] == pytest.approx(100 * row["per_percent"])
    assert [row["unit"] for row in made.prediction["worth"]] == [
        "Mbit/s",
        "Mbit/s",
        "GFLOP/s",
        "GFLOP/s",
    ]


def test_a_leakage_limit_that_no_cut_meets():
    """The plan has no decision and says which devices and which limit could be met."""
    made = plan(Scenario.generate(seed=0, devices=2, leakage_limit=0.001))
    assert not made.is_feasible
    assert made.result["outcome"] == "infeasible"
    message = made.result["message"]
    assert "device-1, device-2" in message
    profile = Scenario.generate().load_model()
    assert f"{profile.leakage.min():.6g} at cut {profile.leakage.argmin() + 1}" in message


def test_reachable_leakage_that_is_named_is_reachable():
    """Raising the limit to what the message names makes the scenario feasible."""
    lowest = float(f"{Scenario.generate().load_model().leakage.min():.6g}") + 1e-6
    assert plan(Scenario.generate(seed=0, devices=2, leakage_limit=lowest)).is_feasible


def memory_scenario(memory, batch_size=32):
    return Scenario.from_si(
        {
            "model": "resnet18-imagenet",
            "devices": [
                {
                    "name": "small",
                    "compute": 1e11,
                    "samples": 1000,
                    "batch_size": batch_size,
                    "memory": memory,
                },
                {"name": "large", "compute": 1e11, "samples": 1000},
            ],
            "links": {"downlink": "100 Mbit/s", "uplink": "100 Mbit/s"},
            "servers": [{"name": "edge", "compute": 1e12}],
        }
    )


def test_memory_limits_the_cut():
    """A device takes only cuts whose training memory fits; too little memory says how much."""
    profile = memory_scenario(1e12).load_model()
    need = profile.device_memory_fixed_bytes + 32 * profile.device_memory_per_sample_bytes
    fits = memory_scenario(float(need[2]))
    problem = CutAndResources.from_scenario(fits)
    assert problem.allowed[0].tolist() == (need <= need[2]).tolist()
    assert problem.allowed[1].all()
    none = plan(memory_scenario(float(need.min()) - 1))
    assert none.result["outcome"] == "infeasible"
    assert "small" in none.result["message"]
    assert f"{need.min() / 2**20:,.1f} MiB" in none.result["message"]


def test_what_could_not_be_checked_is_said():
    """A memory limit without a table, or without a batch size, is noted in the plan."""
    notes = plan(Scenario.load("dp-mora-resnet18")).notes
    assert any("memory limits are not checked" in note for note in notes)


def test_a_limit_without_a_leakage_table_is_refused():
    """A leakage limit cannot be kept with a profile that has no leakage."""
    document = Scenario.generate(seed=0, devices=2, leakage_limit=0.5).model_dump()
    document["model"] = {"profile": "resnet18-imagenet"}
    with pytest.raises(InputError, match="has no leakage"):
        plan(Scenario.from_si(document))


def test_fills_are_in_the_plan():
    """What was filled in for the machines in use is noted, and nothing of the others."""
    scenario = Scenario.from_si(
        {
            "model": {"profile": "resnet101-cifar", "fill": "flop_ratio"},
            "devices": [{"name": "pi", "machine": "d1", "samples": 100}],
            "links": {"downlink": "100 Mbit/s", "uplink": "100 Mbit/s"},
            "servers": [{"name": "vm", "machine": "VM"}],
        }
    )
    made = plan(scenario)
    links, fill = made.notes
    assert links.startswith("devices share one downlink")
    assert fill.startswith("VM: rows 36-37")


def test_unmeasured_rows_are_refused():
    """Without a word on how to fill them, the unmeasured rows are named."""
    scenario = Scenario.from_si(
        {
            "model": "resnet101-cifar",
            "devices": [{"name": "pi", "machine": "d2", "samples": 100}],
            "links": {"downlink": "100 Mbit/s", "uplink": "100 Mbit/s"},
            "servers": [{"name": "edge", "compute": "1 TFLOP/s"}],
        }
    )
    with pytest.raises(InputError, match=r"d2.*rows? 4"):
        plan(scenario)


def test_huge_capacities_have_a_unit_that_can_be_read():
    """A link of 800 Tbit/s is called that, a slow one is in kbit/s, and usual ones stay."""
    scenario = Scenario.load("dp-mora-resnet18").to_dict()
    scenario["devices"] = scenario["devices"][:2]
    for rate, now, unit in (
        ("800 Tbit/s", 800.0, "Tbit/s"),
        ("20 Gbit/s", 20_000.0, "Mbit/s"),
        ("30 kbit/s", 30.0, "kbit/s"),
    ):
        scenario["links"] |= {"uplink": {"rate": rate}}
        (row,) = (
            row
            for row in plan(Scenario.from_dict(scenario)).prediction["worth"]
            if row["resource"] == "uplink"
        )
        assert row["capacity"] == pytest.approx(now)
        assert row["unit"] == unit
        # 1 % more of it, in that unit, saves what the row says of 1 % and of one unit more
        assert row["per_unit"] * now / 100 == pytest.approx(row["per_percent"])


def test_a_device_with_a_rate_of_its_own_keeps_its_power():
    """Energy by hand: W while it computes and W while it sends, whoever states the rate."""
    document = Scenario.generate(seed=2, devices=2).to_dict()
    document["links"] |= {"uplink": {"rate": "10 Mbit/s"}, "downlink": {"rate": "10 Mbit/s"}}
    for device in document["devices"]:
        device |= {"compute_power": "5 W", "transmit_power": "2 W"}
        for name in ("channel_gain", "snr"):
            device.pop(name, None)
    document["devices"][0]["uplink"] = "40 Mbit/s"
    scenario = Scenario.from_dict(document)
    assert scenario.link(scenario.devices[0], "uplink").rate == 40e6
    found = plan(scenario, objective="energy")
    assert found.result["outcome"] == "optimal"
    for row in found.prediction["devices"]:
        on_air = row["upload_s"] * row["upload_share"]
        joule = 5.0 * row["device_s"] + 2.0 * on_air
        assert row["energy_j"] == pytest.approx(joule)
    as_columns = [device.model_dump(exclude_none=True) for device in scenario.devices]
    document["devices"] = {
        "columns": {
            "name": [one["name"] for one in as_columns],
            "compute [FLOP/s]": [one["compute"] for one in as_columns],
            "samples": [one["samples"] for one in as_columns],
            "compute_power [W]": [5.0, 5.0],
            "transmit_power [W]": [2.0, 2.0],
            "uplink [bit/s]": [40e6, None],
        }
    }
    np.testing.assert_allclose(groups_of(Scenario.from_dict(document)).transmit_power, [2.0, 2.0])
