"""Rows of a comparison, against seconds by hand and the plans of each problem."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.papers.splitfed.costs import UniformSetting, printed_time
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
from splitopt.planning.comparison import comparing
from splitopt.planning.comparison.sweeping import with_field
from tests.planning.compare_schemes.cases import fleet


def hand_seconds(cut, devices=4):
    """Seconds of one alike device: model down and up, crossing down and up, own and server work."""
    p, passes = load_profile("resnet18-imagenet"), 2 * 100
    model, at = 8 * p.device_model_bytes[cut - 1], cut - 1
    down = (model + 8 * passes * p.gradient_bytes[at]) / 80e6
    up = (model + 8 * passes * p.smashed_bytes[at]) / 40e6
    own = passes * (p.device_forward_flop[at] + p.device_backward_flop[at]) / 20e9
    server = passes * (p.server_forward_flop[at] + p.server_backward_flop[at]) / 1e12
    return down, up, own, server


def client_by_client(cut):
    """Seconds of SplitFedV2: four alike clients in turn, each with two epochs of ten batches."""
    p, at = load_profile("resnet18-imagenet"), cut - 1
    model_down, model_up = (8 * p.device_model_bytes[at] / rate for rate in (80e6, 40e6))
    gradient = 10 * 8 * p.gradient_bytes[at] / 80e6
    upload = 10 * 8 * p.smashed_bytes[at] / 40e6
    forward, backward = (
        10 * p.device_forward_flop[at] / 20e9,
        10 * p.device_backward_flop[at] / 20e9,
    )
    server = 10 * (p.server_forward_flop[at] + p.server_backward_flop[at]) / 1e12
    step = gradient + backward + forward + upload + server
    # All models are on the downlink before the first gradient.
    time = max(model_down + forward + upload + server, 4 * model_down) + 19 * step
    for _ in range(3):  # the next first batch is ready; its gradient waits for the last one
        time += max(upload + server, gradient) + 19 * step
    return time + gradient + backward + 4 * model_up


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
    assert found.row("sflv2").round_s == pytest.approx(
        min(client_by_client(cut) for cut in range(1, 10)), rel=1e-9
    )
    assert found.row("sflv1").round_cost == pytest.approx(shared * 0.36 / 3600, rel=1e-9)
    p = load_profile("resnet18-imagenet")
    for scheme, copies in (("sflv1", 4), ("sflv2", 1)):
        row = found.row(scheme)
        cut = int(row.cut.split()[0])
        fixed = 2 * (p.device_model_bytes[-1] - p.device_model_bytes[cut - 1])
        held = fixed + 10 * p.layer_saved_bytes[cut:].sum()
        assert row.server_memory_bytes == pytest.approx(copies * held)


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
    assert time["sflv2"] <= time["sl"] * slack  # the same turns, with work beside them
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


@pytest.mark.one_quick
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


@pytest.mark.slow
def test_mp_sl_with_links_of_their_own():
    """Then a round is the plan's, with one upload of an owner's parts and 20 downloads of them."""
    scenario = with_field(Scenario.load("examples/pipeline-vgg19.yaml"), "links.shared", False)
    found = compare_schemes(scenario, time_limit_s=20)
    made = plan(scenario, problem="pipeline_partition")
    p = scenario.load_model()
    own = p.device_model_bytes[1] + p.device_model_bytes[-1] - p.device_model_bytes[22]
    averaging = 8 * own * (1 + 20) / 40e6 + 2 * 1e-3
    assert made.prediction["aggregation_s"] == pytest.approx(averaging)
    assert found.row("mp_sl").round_s == pytest.approx(made.prediction["round_s"], rel=1e-9)
    assert any("every device has a downlink of its own of 40 Mbit/s" in n for n in found.notes)


def test_powers_that_do_not_give_an_energy_are_noted():
    """What is stated and cannot be used is said, with what is missing."""
    document = fleet().to_dict()
    del document["devices"][0]["transmit_power"]
    lacking = Scenario.from_dict(document)
    words = "energy is not shown: it needs every device's powers, there is no transmit_power of pi"
    assert words in plan(lacking).notes
    assert words in compare_schemes(lacking).notes
    assert not any("energy" in note for note in plan(fleet()).notes)
    del document["devices"][0]["compute_power"]
    assert not any("energy" in note for note in plan(Scenario.from_dict(document)).notes)


@pytest.mark.slow
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
