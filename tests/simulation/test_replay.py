"""Replays of decisions: they end when the models say, and name what sets the pace."""

from __future__ import annotations

import numpy as np
import pytest

import splitopt
from splitopt import InputError, Scenario, solve
from splitopt.errors import InfeasibleError
from splitopt.plans import Plan
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum, ClusterAndSpectrumDecision
from splitopt.problems.cut_under_uncertainty import (
    CutUnderUncertainty,
    CutUnderUncertaintyDecision,
)
from splitopt.problems.pipeline_partition import PipelinePartition, PipelinePartitionDecision
from splitopt.simulation import cut_and_resources, simulate_decision
from splitopt.simulation.pipeline_partition import system_of


@pytest.fixture(scope="module")
def saved_plan():
    """Return the plan of the shipped fleet with DP-MORA's ten devices."""
    return splitopt.plan(Scenario.load("dp-mora-resnet18"), objective="makespan")


def test_cut_and_resources_ends_with_the_slowest_device(saved_plan):
    """Batch by batch, every device takes what Eq. 12 says, and no resource is over-booked."""
    replay = splitopt.simulate(saved_plan)
    timeline = replay.timeline
    assert replay.simulated_s == pytest.approx(saved_plan.prediction["round_s"], rel=1e-9)
    assert replay.error_of(replay.forecasts[0]) == pytest.approx(0, abs=1e-9)
    assert timeline.overloads() == {}
    for index, row in enumerate(saved_plan.prediction["devices"]):
        mine = timeline.select(timeline.owner == index)
        assert mine.makespan_s == pytest.approx(row["round_s"], rel=1e-9)
        length = mine.end_s - mine.start_s
        for phase, kinds in {
            "device_s": ("device forward", "device backward"),
            "download_s": ("model download", "gradient download"),
            "upload_s": ("upload", "model upload"),
            "server_s": ("server",),
        }.items():
            chosen = np.isin(mine.phase, [cut_and_resources.PHASES.index(kind) for kind in kinds])
            assert length[chosen].sum() == pytest.approx(row[phase], rel=1e-9)


def test_cut_and_resources_has_every_batch(saved_plan):
    """A device runs as many forward passes as it has batches in its epochs."""
    scenario = Scenario.from_dict(saved_plan.scenario)
    timeline = splitopt.simulate(saved_plan).timeline
    forward = timeline.phase == cut_and_resources.PHASES.index("device forward")
    for index, device in enumerate(scenario.fleet()):
        expected = scenario.training.epochs * -(-device.samples // device.batch_size)
        assert int((forward & (timeline.owner == index)).sum()) == expected


def test_measured_devices_compute_forward_as_long_as_was_measured():
    """A measured machine is split by its own times: work need not be known for it."""
    document = Scenario.load("digits-splitfed").to_dict()
    document["model"] = {"profile": "vgg19-cifar", "fill": "flop_ratio"}
    for section, machine in (("devices", "d1"), ("servers", "VM")):
        for item in document[section]:
            item.pop("compute")
            item["machine"] = machine
    scenario = Scenario.from_dict(document)
    made = splitopt.plan(scenario)
    timeline = splitopt.simulate(made).timeline
    times = scenario.load_model().machines["d1"]
    kind = timeline.phase == cut_and_resources.PHASES.index("device forward")
    length = timeline.end_s - timeline.start_s
    for index, device in enumerate(scenario.fleet()):
        cut = made.decision["cut"][index]
        expected = device.samples * times.forward_s[:cut].sum()
        assert length[kind & (timeline.owner == index)].sum() == pytest.approx(expected)


def test_cut_and_resources_without_a_scenario(random_problem):
    """From arrays alone, a device's round is four tasks."""
    problem = random_problem(seed=2)
    decision = solve(problem).decision
    replay = simulate_decision(problem, decision)
    assert replay.simulated_s == pytest.approx(problem.latencies(decision).max())
    assert len(replay.timeline) <= 4 * problem.devices


@pytest.mark.slow
def test_noise_is_reproducible(saved_plan):
    """The same seed gives the same noisy round; a little noise changes it a little."""
    first, again = (splitopt.simulate(saved_plan, noise=0.03, seed=5) for _ in range(2))
    assert first.simulated_s == again.simulated_s
    assert first.simulated_s != splitopt.simulate(saved_plan, noise=0.03, seed=6).simulated_s
    assert first.simulated_s == pytest.approx(saved_plan.prediction["round_s"], rel=0.1)


def draw_clusters(seed, local_epochs, full_band=False):
    rng = np.random.default_rng(seed)
    problem = ClusterAndSpectrum(
        *rng.uniform(0.1, 2.0, (6, 6)),
        server_s_per_device=0.3,
        local_epochs=local_epochs,
        subcarriers=7,
        cluster_sizes=[2, 3, 1],
        device_model_over_full_band=full_band,
    )
    members = rng.permutation(6)
    clusters = (members[:2], members[2:5], members[5:])
    subcarriers = np.zeros(6, dtype=np.int64)
    for cluster, given in zip(clusters, ([3, 4], [2, 2, 3], [7]), strict=True):
        subcarriers[cluster] = given
    return problem, ClusterAndSpectrumDecision(clusters, subcarriers)


@pytest.mark.parametrize(("local_epochs", "full_band"), [(1, False), (2, True), (4, False)])
def test_clusters_take_what_cpsl_says(local_epochs, full_band):
    """Phases S, I and E of every cluster, one cluster after the other, give Eq. 25's sum."""
    for seed in range(10):
        problem, decision = draw_clusters(seed, local_epochs, full_band)
        replay = simulate_decision(problem, decision)
        assert replay.simulated_s == pytest.approx(problem.evaluate(decision), rel=1e-12)
        assert replay.timeline.overloads() == {}
        server = replay.timeline.usage[-1]
        assert server.busy_s == pytest.approx(6 * local_epochs * 0.3)


def test_sampled_rounds_follow_one_another():
    """The rounds of a cut under uncertainty add up to what the problem says of its samples."""
    drawn = [draw_clusters(seed, 2) for seed in range(4)]
    problem = CutUnderUncertainty.from_scenarios(["a"], [[block] for block, _ in drawn])
    decision = CutUnderUncertaintyDecision(0, tuple(answer for _, answer in drawn))
    replay = simulate_decision(problem, decision)
    assert replay.simulated_s == pytest.approx(problem.latencies(decision).sum())
    assert replay.timeline.overloads() == {}
    assert replay.timeline.batch.max() == 4 * 2 + 4 - 1  # three phases of two epochs, four times


def test_clusters_of_the_published_setting_take_3_78_s():
    """CPSL section VIII-B: identical devices with six subcarriers each, 3.78 s a round."""
    scenario = Scenario.load("cpsl-identical")
    problem = ClusterAndSpectrum.from_scenario(scenario)
    clusters = np.arange(30).reshape(6, 5)
    decision = ClusterAndSpectrumDecision(tuple(clusters), np.full(30, 6))
    replay = simulate_decision(problem, decision, scenario=scenario)
    assert replay.simulated_s == pytest.approx(3.78, abs=0.005)
    assert replay.timeline.owners[29] == "device-30"


def draw_pipeline(**optional):
    rng = np.random.default_rng(4)
    problem = PipelinePartition(
        *rng.uniform(0.1, 1.0, (2, 3, 7)),
        layer_memory_bytes=np.ones(7),
        node_memory_bytes=np.full(3, 1e9),
        owners=6,
        cut_up_bytes=rng.uniform(1, 9, 8),
        cut_down_bytes=rng.uniform(1, 9, 8),
        **optional,
    )
    return problem, PipelinePartitionDecision([2, 2, 2, 0, 0, 1, 1])


LINKS = [
    {"model": "none"},
    {"model": "uniform", "bandwidth_bytes_per_s": 8.0, "latency_s": 0.01},
    {"model": "uniform", "bandwidth_bytes_per_s": 2.0, "duplex": "half"},
    {"model": "pairwise", "bandwidth_bytes_per_s": [[0, 3, 4], [5, 0, 6], [7, 8, 0]]},
    {"model": "nic", "bandwidth_bytes_per_s": [9.0, 6.0, 4.0]},
    {"model": "nic", "bandwidth_bytes_per_s": [9.0, 6.0, 4.0], "duplex": "half"},
    {"model": "serial", "bandwidth_bytes_per_s": [9.0, 6.0, 4.0], "duplex": "half"},
]


@pytest.mark.parametrize("links", LINKS, ids=lambda links: "-".join(map(str, links.values()))[:24])
def test_pipeline_is_the_problems_own(links):
    """Period, binding resource and trip of the simulated system are those of the problem."""
    links = {**links, "owner_bandwidth_bytes_per_s": 2.0}
    problem, decision = draw_pipeline(links=links, batches=6 * 40)
    system = system_of(problem, decision)
    assert system.period_s == pytest.approx(problem.evaluate(decision))
    assert max(system.busy_s.values()) == pytest.approx(problem.binding(decision)["busy_s"])
    assert system.trips_s == pytest.approx(np.full(6, problem.latency(decision)))
    replay = simulate_decision(problem, decision)
    assert len(replay.timeline.owners) == 6
    assert replay.timeline.overloads() == {}
    assert int(system.batches_per_owner.sum()) == 240
    lower = 240 * system.period_s
    assert replay.simulated_s >= lower * (1 - 1e-12)


def test_what_sets_the_pace_of_a_pipeline():
    """Six owners fill the pipeline; one is too few, and its trips are the limit."""
    problem, decision = draw_pipeline(links=LINKS[1])
    busy = problem.binding(decision)
    full = simulate_decision(problem, decision)
    name = f"node {busy['index']}" if busy["kind"] == "node" else " <-> "
    assert name in full.binding
    alone = PipelinePartition.from_data({**problem.data(), "owners": 1, "batches": 9}, "period")
    assert simulate_decision(alone, decision).binding.startswith("owner 0, 9 trips of")


@pytest.fixture(scope="module")
def pipeline_plan():
    """Return a plan for 8 owners of two kinds, whose own parts and links count, and three nodes."""
    scenario = {
        "format": "splitopt-scenario",
        "version": 1,
        "name": "edge",
        "model": {"profile": "vgg19-cifar", "fill": "flop_ratio"},
        "devices": [
            {"name": "near", "count": 5, "machine": "d1", "samples": 1280, "batch_size": 128},
            {
                "name": "far",
                "count": 3,
                "machine": "laptop",
                "samples": 300,
                "batch_size": 128,
                "uplink": "5 Mbit/s",
            },
        ],
        "links": {"downlink": "100 Mbit/s", "uplink": "40 Mbit/s", "nodes": "400 Mbit/s"},
        "servers": [],
        "nodes": [{"name": "vm", "count": 3, "machine": "VM"}],
        "pipeline": {"first_cut": 2, "last_cut": 23},
        "training": {"epochs": 2},
    }
    document = {key: value for key, value in scenario.items() if value != []}
    return splitopt.plan(Scenario.from_dict(document), problem="pipeline_partition")


def test_pipeline_of_a_scenario(pipeline_plan):
    """Owners bring their own parts, links and batches; the plan's own forecast is the first."""
    replay = splitopt.simulate(pipeline_plan)
    timeline, prediction = replay.timeline, pipeline_plan.prediction
    assert timeline.owners == tuple(
        [f"near-{i}" for i in range(1, 6)] + [f"far-{i}" for i in range(1, 4)]
    )
    # 10 batches and 3 (two of 128 and a rest), twice
    counts = [len(np.unique(timeline.batch[timeline.owner == k])) for k in range(8)]
    assert counts == [20] * 5 + [6] * 3
    assert replay.simulated_s == prediction["simulated_s"]
    assert replay.forecasts[0].seconds == pytest.approx(prediction["round_s"])
    assert dict(replay.facts)["Load"].startswith(f"{prediction['load']:.3g}")
    assert timeline.overloads() == {}
    # The first owner's first part, by the measured machine: 2 layers of the forward pass.
    profile = Scenario.from_dict(pipeline_plan.scenario).load_model()
    first = next(iter(timeline.select(timeline.owner == 0)))
    assert first.phase == "first part forward"
    expected = 128 * profile.machine_times("d1").forward_s[:2].sum()
    assert first.end_s == pytest.approx(expected)


def test_one_batch_of_a_pipeline_takes_its_latency():
    """With one owner and one batch the simulation is the problem's latency."""
    problem, decision = draw_pipeline(links=LINKS[1])
    single = PipelinePartition.from_data({**problem.data(), "owners": 1, "batches": 1}, "period")
    replay = simulate_decision(single, decision)
    assert replay.simulated_s == pytest.approx(single.latency(decision))


def test_what_cannot_be_simulated_is_refused(random_problem, saved_plan):
    """A decision that breaks a limit, an odd seed, a plan without an answer."""
    problem, decision = draw_pipeline()
    with pytest.raises(InputError, match="not feasible: idle_nodes"):
        simulate_decision(problem, PipelinePartitionDecision([0] * 7))
    with pytest.raises(InputError, match="seed"):
        simulate_decision(problem, decision, seed=-1)
    with pytest.raises(InputError, match="noise"):
        simulate_decision(problem, decision, noise=-0.5)
    document = saved_plan.to_dict()
    empty = Plan(
        **{
            **{name: document[name] for name in ("problem", "objective", "scenario", "profile")},
            "decision": None,
            "prediction": None,
            "result": {**document["result"], "message": "too few nodes"},
        }
    )
    with pytest.raises(InfeasibleError, match="too few nodes"):
        splitopt.simulate(empty)
