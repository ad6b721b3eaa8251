"""Controllers of scenarios: pipelines, common cuts and clusters follow, beside cold solves."""

from __future__ import annotations

from pathlib import Path

import pytest

from splitopt import InputError, Scenario, solve
from splitopt.planning.control.events import (
    DeviceJoins,
    DeviceLeaves,
    DeviceSlows,
    RateChanges,
    ServerGoes,
    ServerSlows,
)
from splitopt.planning.control.replan import Damping
from splitopt.planning.control.resolving import ScenarioController
from splitopt.problems.registry import problem_class

NONE = Damping(gain=0.0)
EXAMPLES = Path(__file__).parents[3] / "examples"


def stated(scenario, problem, objective):
    """Return the proved optimum of a scenario that is written out and read back."""
    again = Scenario.from_dict(scenario.to_dict())
    found = problem_class(problem).from_scenario(again, objective=objective)
    return solve(found)


def test_a_pipeline_follows_its_nodes():
    """Nodes slow, leave and come back: every plan is the optimum of the stated scenario."""
    scenario = Scenario.generate(seed=2, devices=3, nodes=3)
    controller = ScenarioController(scenario, objective="period", damping=NONE)
    names = controller.devices
    for events in (
        [DeviceSlows(names[0], 0.3)],
        [DeviceLeaves(names[1])],
        [DeviceSlows(names[2], 2.0), DeviceSlows(names[0], 1.0)],
        [DeviceJoins(names[1])],
    ):
        plan = controller.apply(events)
        cold = stated(controller.scenario, "pipeline_partition", controller.problem.objective)
        assert plan.objective == pytest.approx(cold.objective, rel=1e-9)
        assert plan.bound <= cold.objective * (1 + 1e-9)
        assert not controller.problem.violations(plan.decision)
    plan = controller.apply([RateChanges(names[0], {"upload": 0.5}), ServerSlows(0.5)])
    assert len(plan.kept_out) == 2
    assert plan.changed == ("the plan stays",)


def test_a_common_cut_follows():
    """Rates, speeds, a new device and the server, each beside a scenario that states them."""
    scenario = Scenario.generate(seed=1, devices=4)
    controller = ScenarioController(scenario, "common_cut", "splitfed_v1", damping=NONE)
    names = controller.devices
    guest = {"compute": "2 GFLOP/s", "samples": 500, "batch_size": 20}
    for events in (
        [RateChanges(names[0], {"upload": 0.1, "download": 0.5})],
        [DeviceSlows(names[3], 0.2), DeviceLeaves(names[1])],
        [ServerSlows(0.05)],
        [DeviceJoins("guest", guest), DeviceJoins("nobody")],
    ):
        plan = controller.apply(events)
        cold = stated(controller.scenario, "common_cut", "splitfed_v1")
        assert plan.objective == pytest.approx(cold.objective, rel=1e-9)
        assert plan.gap <= 1e-9
    assert "guest" in plan.devices
    assert len(plan.kept_out) == 1
    gone = controller.apply(ServerGoes())
    assert gone.decision is None
    assert "needs the server" in gone.message
    assert controller.apply(ServerSlows(1.0)).decision is not None


@pytest.mark.slow
def test_clusters_start_from_the_old_ones():
    """The old clusters are kept where another plan gains too little, and the gap is shown."""
    scenario = Scenario.load("digits-clusters")
    controller = ScenarioController(
        scenario, "cluster_and_spectrum", solver="anneal", damping=Damping(gain=0.2)
    )
    plan = controller.apply(DeviceSlows(controller.devices[0], 0.95))
    assert plan.changed[0] == "the plan stays"
    assert plan.bound <= plan.objective
    assert plan.objective <= plan.found / (1 - 0.2) * (1 + 1e-9)


def test_wrong_input_is_named():
    """A new device is checked as one of a scenario."""
    controller = ScenarioController(Scenario.generate(seed=1, devices=2), "common_cut")
    with pytest.raises(InputError, match=r"compute"):
        controller.apply(DeviceJoins("guest", {"compute": 3, "samples": 5}))
    with pytest.raises(InputError, match="problem"):
        ScenarioController(Scenario.generate(seed=1, devices=2), "common_cuts")


@pytest.mark.parametrize("event", [ServerSlows(0.5, "servr"), ServerGoes("uplink")])
def test_events_of_unknown_resources_are_kept_out(event):
    """The server alone has events of its own here, by that word or by its name."""
    scenario = Scenario.generate(seed=1, devices=3)
    controller = ScenarioController(scenario, "common_cut", "splitfed_v1", damping=NONE)
    before = controller.plan.objective
    plan = controller.apply(event)
    assert "is unknown, it is server" in plan.kept_out[0]
    assert plan.objective == before
    named = controller.apply(ServerSlows(0.01, scenario.servers[0].name))
    assert not named.kept_out
    assert named.objective > before


def test_rates_of_clusters_are_kept_out():
    """What a subcarrier carries follows from a ratio; the plan goes on as it was."""
    controller = ScenarioController(Scenario.load("digits-clusters"), "cut_and_clusters")
    before = controller.plan.objective
    plan = controller.apply([RateChanges(controller.devices[0], {"upload": 0.5})])
    assert "signal-to-noise" in plan.kept_out[0]
    assert plan.objective == before
    slower = controller.apply(DeviceSlows(controller.devices[0], 0.1))
    cold = stated(controller.scenario, "cut_and_clusters", controller.problem.objective)
    assert cold.objective * (1 - 1e-9) <= slower.objective
    assert slower.objective <= cold.objective * (1 + Damping().gain)


@pytest.mark.slow
def test_accelerators_leave_and_come_back():
    """Each plan is the optimum of a scenario with as many; what one cannot be is kept out."""
    document = Scenario.load(EXAMPLES / "graph-inception.yaml").to_dict()
    document["accelerators"]["count"] = 2
    controller = ScenarioController(document, damping=NONE)
    names, first = controller.devices, controller.plan.objective
    assert names == ("gpu-1", "gpu-2")
    plan = controller.apply([DeviceLeaves("gpu-2")])
    assert controller.devices == ("gpu-1",)
    document["accelerators"]["count"] = 1
    cold = solve(problem_class("graph_partition").from_scenario(Scenario.from_dict(document)))
    assert plan.objective == pytest.approx(cold.objective, rel=1e-6)
    assert plan.objective >= first
    events = [
        DeviceSlows("gpu-1", 0.5),
        RateChanges("gpu-1", {"upload": 2.0}),
        ServerSlows(0.5),
        DeviceJoins("gpu-9"),
        DeviceJoins("gpu-2", {"compute": "1 TFLOP/s"}),
    ]
    kept = controller.apply(events)
    assert len(kept.kept_out) == len(events)
    assert kept.objective == plan.objective
    assert controller.apply(DeviceJoins("gpu-2")).objective == pytest.approx(first, rel=1e-6)
