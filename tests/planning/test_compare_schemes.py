"""Every scheme on one fleet: against plans, hand calculations, and single devices."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import (
    CapabilityError,
    CutAndResources,
    InfeasibleError,
    InputError,
    Scenario,
    SolveError,
    compare_schemes,
    load_profile,
    plan,
)
from splitopt.latency.splitfed_costs import UniformSetting, printed_time
from splitopt.planning.comparison import comparing
from splitopt.planning.comparison.comparing import check_rounds
from splitopt.planning.comparison.rows import LABELS
from splitopt.planning.comparison.sweeping import read_sweep, sweep_field, with_field


def fleet(**changes):
    """Give a fleet of four alike devices and one server."""
    document = {
        "format": "splitopt-scenario",
        "version": 1,
        "name": "four",
        "model": "resnet18-imagenet",
        "devices": [
            {
                "name": "pi",
                "count": 4,
                "compute": "20 GFLOP/s",
                "samples": 100,
                "batch_size": 10,
                "compute_power": "5 W",
                "transmit_power": "1 W",
            }
        ],
        "links": {"downlink": "80 Mbit/s", "uplink": "40 Mbit/s"},
        "servers": [{"name": "edge", "compute": "1 TFLOP/s", "price_per_hour": 0.36}],
        "training": {"epochs": 2},
    }
    return Scenario.from_dict(document | changes, from_file=True)


def hand_seconds(cut, devices=4):
    """Seconds of one alike device: model down and up, crossing down and up, own and server work."""
    p, passes = load_profile("resnet18-imagenet"), 2 * 100
    model, at = 8 * p.device_model_bytes[cut - 1], cut - 1
    down = (model + 8 * passes * p.gradient_bytes[at]) / 80e6
    up = (model + 8 * passes * p.smashed_bytes[at]) / 40e6
    own = passes * (p.device_forward_flop[at] + p.device_backward_flop[at]) / 20e9
    server = passes * (p.server_forward_flop[at] + p.server_backward_flop[at]) / 1e12
    return down, up, own, server


def test_federated_learning_by_hand():
    """Four alike devices share both links: four models through each, and the own work once."""
    row = compare_schemes(fleet()).row("fl")
    down, up, own, server = hand_seconds(10)
    assert server == 0
    assert row.round_s == pytest.approx(4 * down + 4 * up + own, rel=1e-9)
    p = load_profile("resnet18-imagenet")
    assert row.traffic_bytes == pytest.approx(4 * 2 * p.device_model_bytes[-1])
    work = p.device_forward_flop[-1] + p.device_backward_flop[-1]
    assert row.device_flop == pytest.approx(200 * work)
    assert row.energy_j == pytest.approx(4 * (5 * own + 1 * up))
    assert row.round_cost == 0


def test_common_cut_schemes_by_hand():
    """For alike devices the shares are equal, so that every scheme has a closed form."""
    found = compare_schemes(fleet())
    phases = [hand_seconds(cut) for cut in range(1, 10)]
    in_turn = min(4 * sum(four) for four in phases)
    shared = min(4 * down + 4 * up + own + 4 * server for down, up, own, server in phases)
    assert found.row("sl").round_s == pytest.approx(in_turn, rel=1e-9)
    assert found.row("sflv1").round_s == pytest.approx(shared, rel=1e-9)
    assert found.row("sflv2").round_s == pytest.approx(shared, rel=1e-9)
    assert found.row("sflv1").round_cost == pytest.approx(shared * 0.36 / 3600, rel=1e-9)
    one, copies = found.row("sflv2"), found.row("sflv1")
    assert copies.server_memory_bytes == pytest.approx(4 * one.server_memory_bytes)


def test_vanilla_split_learning_is_splitfeds_row():
    """With one speed and one rate, SplitFed's Table 2 prints the same epoch for split learning."""
    speed = "20 GFLOP/s"
    scenario = with_field(fleet(), "links", {"downlink": "80 Mbit/s", "uplink": "80 Mbit/s"})
    scenario = with_field(scenario, "servers.edge.compute", speed)
    scenario = with_field(scenario, "training.epochs", 1)
    p = load_profile("resnet18-imagenet")
    assert np.array_equal(p.smashed_bytes, p.gradient_bytes)
    printed = printed_time(
        UniformSetting(
            clients=4,
            samples=400,
            smashed=8 * p.smashed_bytes[:-1],
            model=8 * p.device_model_bytes[-1],
            client_share=p.device_model_bytes[:-1] / p.device_model_bytes[-1],
            rate=80e6,
            full_pass_s=400 * (p.device_forward_flop[-1] + p.device_backward_flop[-1]) / 20e9,
            aggregation_s=0.0,
        )
    )
    assert compare_schemes(scenario).row("sl").round_s == pytest.approx(printed.sl.min(), rel=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_orders_that_must_hold(seed):
    """Shares that fit everybody beat none; and devices alone with everything add up to SL."""
    scenario = Scenario.generate(seed=seed, devices=5)
    found = compare_schemes(scenario)
    time = {row.scheme: row.round_s for row in found.feasible}
    slack = 1 + 1e-9
    assert time["dp_mora_makespan"] <= time["sflv1"] * slack
    assert time["dp_mora_makespan"] <= time["dp_mora_sum"] * slack
    assert time["dp_mora_makespan"] <= time["fl"] * slack
    assert time["sflv1"] <= time["sflv2"] * slack
    assert [row.round_s for row in found.feasible] == pytest.approx(sorted(time.values()))
    profile = scenario.load_model()
    alone = np.zeros(profile.layer_count - 1)
    for device in scenario.devices:
        single = CutAndResources.from_scenario(
            scenario.model_copy(update={"devices": (device,)}), profile
        )
        for at in range(len(alone)):
            alone[at] += single.evaluate(single.complete([at + 1]))
    assert time["sl"] == pytest.approx(alone.min(), rel=1e-9)


def test_dp_mora_is_the_answer_of_plan():
    """The published setting, whose optima its tables imply."""
    scenario = Scenario.load("dp-mora-resnet18")
    found = compare_schemes(scenario)
    for objective, published in (("sum", 36_020.7), ("makespan", 31_397.4)):
        row = found.row(f"dp_mora_{objective}")
        made = plan(scenario, objective=objective)
        assert row.round_s == made.prediction["round_s"] == pytest.approx(published, rel=1e-6)
        assert row.proved
    assert found.feasible[0].scheme == "dp_mora_makespan"
    assert max(row.leakage or 0 for row in found.rows) <= 0.5
    assert found.row("cpsl").status == found.row("mp_sl").status == "not_comparable"
    assert "'nodes'" in found.row("mp_sl").reason


def test_cpsl_passes_over_all_samples():
    """180 samples in batches of 16 are 12 local epochs of CPSL, at the cut of the scenario."""
    scenario = Scenario.load("cpsl-identical")
    row = compare_schemes(scenario, time_limit_s=8).row("cpsl")
    longer = with_field(scenario, "training.epochs", 12)
    made = plan(longer, problem="cluster_and_spectrum", time_limit_s=2)
    assert row.round_s == pytest.approx(made.prediction["round_s"], rel=1e-9)
    profile = scenario.load_model()
    model, smashed = profile.device_model_bytes[0], profile.smashed_bytes[0]
    gradient = profile.gradient_bytes[0]  # of one sample: the scenario takes Eq. 20 literally
    crossing = 30 * 12 * (16 * smashed + gradient)
    assert row.traffic_bytes == pytest.approx((6 + 30) * model + crossing)


def test_cpsl_chooses_its_cut():
    """With few clusterings the plan is proved: the best over cuts of what each cut allows."""
    scenario = Scenario.load("examples/cpsl-varying.yaml")
    row = compare_schemes(scenario).row("cpsl")
    assert row.proved
    best = []
    for cut in range(1, scenario.load_model().layer_count):
        there = with_field(with_field(scenario, "clusters.cut", cut), "training.epochs", 12)
        made = plan(there, problem="cluster_and_spectrum", solver="enumerate")
        best.append(made.prediction["round_s"])
    assert row.round_s == pytest.approx(min(best), rel=1e-12)


@pytest.mark.parametrize("shared", [False, True])
def test_mp_sl_is_the_plan(shared):
    """The row's round is the plan's; over shared channels it is at least what they carry."""
    scenario = Scenario.load("examples/pipeline-vgg19.yaml")
    links = scenario.links.model_copy(update={"shared": shared})
    scenario = scenario.model_copy(update={"links": links})
    row = compare_schemes(scenario, time_limit_s=20).row("mp_sl")
    assert row.round_s == plan(scenario).prediction["round_s"]
    p = scenario.load_model()
    batches = 20 * 2 * 16
    crossing = p.smashed_bytes[[1, 22]] + p.gradient_bytes[[1, 22]]
    own = p.device_model_bytes[1] + p.device_model_bytes[-1] - p.device_model_bytes[22]
    carried = batches * 128 * float(crossing.sum()) + 2 * 20 * own
    assert row.traffic_bytes >= carried * (1 - 1e-12)
    up = batches * 128 * 8 * (p.smashed_bytes[1] + p.gradient_bytes[22]) / 40e6
    down = batches * 128 * 8 * (p.gradient_bytes[1] + p.smashed_bytes[22]) / 40e6
    averaging = 20 * 8 * own * 2 / 40e6
    assert (row.round_s > max(up, down) + averaging) == shared
    assert ("shared" in row.limit) == shared


def test_reasons_for_having_no_plan():
    """A leakage limit stops what splits, a small memory stops federated learning."""
    strict = with_field(Scenario.load("dp-mora-resnet18"), "privacy.leakage_limit", 0.0)
    found = compare_schemes(strict)
    assert [row.scheme for row in found.feasible] == ["fl"]
    assert "leakage limit" in found.row("sflv1").reason
    small = with_field(fleet(), "devices.pi.memory", "100 MiB")
    found = compare_schemes(small)
    assert found.row("fl").status == "infeasible"
    assert "memory of pi-1" in found.row("fl").reason
    assert found.feasible
    tiny = compare_schemes(with_field(fleet(), "devices.pi.memory", "1 KiB"))
    assert not tiny.feasible
    assert tiny.advice.startswith("No scheme can run")
    free = compare_schemes(fleet()).row("sflv1")
    limit = 0.5 * free.server_memory_bytes
    held = with_field(fleet(), "servers.edge.memory", f"{limit} byte")
    row = compare_schemes(held).row("sflv1")
    assert row.server_memory_bytes <= limit
    assert row.round_s > free.round_s
    none = compare_schemes(with_field(fleet(), "servers.edge.memory", "1 KiB"))
    assert "server needs" in none.row("sflv1").reason


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InputError("lacks a field"), "not_comparable"),
        (InfeasibleError("does not fit"), "infeasible"),
        (SolveError("ended without a proof", None), "no_solution"),
        (CapabilityError("cannot take it"), "no_solution"),
    ],
)
def test_one_scheme_that_fails_does_not_stop_the_others(monkeypatch, error, status):
    """Its row has the reason, and all others are there."""

    def fail(*_):
        raise error

    monkeypatch.setattr(comparing, "pipeline", fail)
    found = compare_schemes(fleet())
    assert (found.row("mp_sl").status, found.row("mp_sl").reason) == (status, str(error))
    assert len(found.feasible) == 6


def test_rounds_turn_into_time_to_accuracy():
    """More rounds push a scheme back; those without rounds come last."""
    scenario = fleet()
    times = {row.scheme: row.round_s for row in compare_schemes(scenario).feasible}
    found = compare_schemes(scenario, rounds={"sl": 1, "sflv1": 1000, "fl": 2})
    assert found.by_accuracy
    order = [row.scheme for row in found.feasible]
    expected = {"sl": times["sl"], "sflv1": 1000 * times["sflv1"], "fl": 2 * times["fl"]}
    assert order[:3] == sorted(expected, key=expected.__getitem__)
    for scheme, seconds in expected.items():
        assert found.row(scheme).accuracy_s == pytest.approx(seconds)
    assert found.row("sflv2").accuracy_s is None
    assert not found.row("sflv2").pareto
    assert found.feasible[0].pareto
    traffic = found.row("sflv1").traffic_bytes
    assert found.row("sflv1").measures[1] == pytest.approx(1000 * traffic)
    assert any("no rounds" in note for note in found.notes)
    for wrong in ({}, {"sfl": 3}, {"fl": 0}, {"fl": "many"}, {"fl": True}, [1]):
        with pytest.raises(InputError, match="rounds"):
            check_rounds(wrong, "rounds")


def test_pareto_by_definition():
    """A mark means that nobody is as good in all three and better in one."""
    found = compare_schemes(Scenario.generate(seed=3, devices=6)).feasible
    points = {r.scheme: np.array([r.round_s, r.traffic_bytes, r.device_flop]) for r in found}
    for row in found:
        own = points[row.scheme]
        beaten = any(
            (other <= own * (1 + 1e-9)).all() and (other < own * (1 - 1e-9)).any()
            for other in points.values()
        )
        assert row.pareto != beaten


def test_sweep_finds_where_the_best_scheme_changes():
    """With a slow server everything stays on the devices, with a fast one the work is split."""
    base = with_field(fleet(), "links", {"downlink": "800 Mbit/s", "uplink": "800 Mbit/s"})
    swept = sweep_field(base, "servers.edge.compute", ["1 MFLOP/s", "10 TFLOP/s"])
    assert swept.best[0] == "fl"
    assert swept.best[1] != "fl"
    assert swept.changes == (("1 MFLOP/s", "10 TFLOP/s", "fl", swept.best[1]),)
    for scheme in LABELS:
        times = [c.row(scheme).round_s for c in swept.comparisons]
        assert times[0] is None or times[1] <= times[0] * (1 + 1e-9)


def test_fields_of_a_sweep():
    """Entries of lists by number, by name, or all; values as in a file."""
    scenario = fleet()
    for path in ("devices.0.count", "devices.pi.count", "devices.*.count"):
        assert len(with_field(scenario, path, 7).fleet()) == 7
    assert read_sweep("links.uplink=10 Mbit/s, 5 Mbit/s")[1] == ["10 Mbit/s", "5 Mbit/s"]
    assert read_sweep("devices.0.count=5,10") == ("devices.0.count", [5, 10])
    for wrong in ("links.uplink", "=3", "a=", "a=1,,2"):
        with pytest.raises(InputError, match="--sweep"):
            read_sweep(wrong)
    for path, value in (
        ("devices.9.count", 3),
        ("devices.zero.count", 3),
        ("linkz.uplink", "1 Mbit/s"),
        ("links.uplinc", "1 Mbit/s"),
        ("links.uplink", "fast"),
        ("devices.0", 3),
        ("name.inner", 3),
    ):
        with pytest.raises(InputError, match="--sweep"):
            with_field(scenario, path, value)
