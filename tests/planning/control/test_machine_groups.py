"""Replicated pipelines whose machines come, go and slow: against every pipeline of a scenario."""

from __future__ import annotations

import pytest

from splitopt import InfeasibleError, InputError, solve
from splitopt.planning.control.events import (
    DeviceJoins,
    DeviceLeaves,
    DeviceSlows,
    RateChanges,
    ServerSlows,
)
from splitopt.planning.control.replan import Damping
from splitopt.planning.control.resolving import ScenarioController
from splitopt.problems.replicated_pipeline import ReplicatedPipeline
from tests.replicated import FAST, SLOW, drawn, scenario

NONE = Damping(gain=0.0)


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    """Provide the file of a small profile."""
    file = tmp_path_factory.mktemp("machines") / "p.json"
    drawn(4).save(file)
    return file


def best(profile, *types, **given):
    """Return the least period of all pipelines of some types, each tried."""
    problem = ReplicatedPipeline.from_scenario(scenario(profile, *types, **given))
    return solve(problem, "enumerate").objective


@pytest.mark.slow
def test_every_plan_is_the_best_of_the_machines_that_are_there(profile):
    """They slow, leave, come back and join, one after the other; each time all is tried anew."""
    controller = ScenarioController(scenario(profile), damping=NONE)
    assert controller.devices == ("fast-1", "fast-2", "slow")
    assert controller.plan.objective == pytest.approx(best(profile), rel=1e-9)
    one, half = FAST | {"count": 1}, FAST | {"name": "half", "count": 1, "compute": "500 kFLOPS"}
    steps = (
        (DeviceSlows("fast-2", 0.5), (one, half, SLOW)),
        (RateChanges("fast-2", {"rate": 3.0}), (one, half | {"rate": "3 Mbps"}, SLOW)),
        (DeviceLeaves("fast-1"), (half | {"rate": "3 Mbps"}, SLOW)),
        ([DeviceJoins("fast-1"), DeviceSlows("fast-2", 1.0), RateChanges("fast-2", {"rate": 1.0})],
         (FAST, SLOW)),
        (DeviceJoins("new", {"compute": "2 MFLOPS", "rate": "2 Mbps"}),
         (FAST, SLOW, {"name": "new", "compute": "2 MFLOPS", "rate": "2 Mbps"})),
    )  # fmt: skip
    for events, types in steps:
        plan = controller.apply(events)
        assert not plan.kept_out
        assert plan.objective == pytest.approx(best(profile, *types), rel=1e-9)
        assert plan.gap <= 1e-9
        hosts = [name for stage in controller.hosts for name in stage]
        assert len(set(hosts)) == len(hosts)
        assert set(hosts) <= set(controller.devices)
        found = ReplicatedPipeline.from_scenario(controller.scenario)
        assert found.evaluate(plan.decision) == pytest.approx(plan.objective, rel=1e-12)


def test_an_old_plan_is_gone_on_with(profile):
    """What is left of every stage is a plan, which a damped controller keeps if it is near."""
    controller = ScenarioController(scenario(profile), damping=Damping(0.5))
    before = [list(stage) for stage in controller.hosts]
    plan = controller.apply(DeviceSlows("slow", 0.99))
    assert controller.hosts == before
    assert plan.kept == plan.objective
    assert plan.bound <= plan.found <= plan.objective
    idle = controller.apply(DeviceJoins("late", {"compute": "1 kFLOPS", "rate": "1 Mbps"}))
    assert controller.hosts == before
    assert idle.objective == pytest.approx(plan.objective, rel=1e-12)


def test_what_cannot_happen_is_kept_out_with_its_reason(profile):
    """Nobody of that name, no interface of that name, no server; and none that is left."""
    controller = ScenarioController(scenario(profile), damping=NONE)
    first = controller.plan.objective
    for event, words in (
        (DeviceSlows("fast-3", 0.5), "unknown; did you mean"),
        (DeviceJoins("fast-9"), "its numbers are not given"),
        (DeviceJoins("fast-1"), "takes part already"),
        (RateChanges("slow", {"upload": 2.0}), "one interface and its 'rate'"),
        (ServerSlows(0.5), "there is no server"),
        (DeviceJoins("big", {"compute": "1 MFLOPS", "rate": "1 Mbps", "memory": "1 GB"}), "memory"),
    ):
        plan = controller.apply(event)
        assert words in plan.kept_out[0]
        assert plan.objective == first
    with pytest.raises(InputError, match="numbers of new"):
        controller.apply(DeviceJoins("new", {"speed": "1 MFLOPS"}))
    gone = controller.apply([DeviceLeaves(name) for name in controller.devices])
    assert gone.decision is None
    assert gone.message == "no device takes part"
    assert controller.hosts is None
    assert controller.apply(DeviceJoins("fast-1")).decision is not None


def test_memory_that_no_machine_has_is_no_plan_to_begin_with(profile):
    small = FAST | {"memory": "1 B"}
    with pytest.raises(InfeasibleError):
        ScenarioController(scenario(profile, small))
