"""The virtual clock: a round takes what the plan says, phase by phase."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt
from splitopt import Scenario, Timeline
from splitopt.planning.comparison.comparing import compare_schemes
from splitopt.timeline import Resource
from splitopt.training.job import TrainingJob
from splitopt.training.options import Options
from splitopt.training.preparing.prepare import prepare
from splitopt.training.program import program_of
from splitopt.training.rounds.clock import VirtualClock
from splitopt.training.rounds.critical_path import seconds_by_phase

pytestmark = pytest.mark.train


def test_a_device_by_itself_sets_the_phases(plan_of):
    """With shares of its own, the slowest device's seconds are those of the round."""
    plan = plan_of("digits-splitfed")
    time = VirtualClock(program_of(plan)).round(3)
    slowest = max(plan.prediction["devices"], key=lambda row: row["round_s"])
    assert time.seconds == pytest.approx(slowest["round_s"])
    assert sum(time.phases.values()) == pytest.approx(time.seconds)
    by_model = {
        "download": ("model download", "gradient download"),
        "upload": ("upload", "model upload"),
        "server": ("server",),
        "device": ("device forward", "device backward"),
    }
    for name, parts in by_model.items():
        found = sum(time.phases.get(part, 0.0) for part in parts)
        assert found == pytest.approx(slowest[f"{name}_s"])


@pytest.mark.parametrize("name", ["digits-clusters", "digits-varying", "digits-pipeline"])
def test_phases_add_up_to_the_simulated_round(plan_of, name):
    """Nothing of a round is lost or counted twice, and each round has its own time."""
    program = program_of(plan_of(name))
    clock = VirtualClock(program)
    for number in range(4):
        time = clock.round(number)
        assert time.seconds == program.replay_of(number).simulated_s
        assert sum(time.phases.values()) == pytest.approx(time.seconds)
    assert ("waiting" in time.phases) == (name == "digits-pipeline")  # its links have a latency


def test_seconds_of_a_timeline_with_a_gap():
    """The last task waits for the first one and for a message; the short one does not count."""
    columns = {"resource": [0, 1, 0], "phase": [0, 1, 0], "owner": [0, 1, 0], "batch": [0, 0, 1]}
    timeline = Timeline(
        (Resource("a", "node"), Resource("b", "node")),
        ("work", "other"),
        ("x", "y"),
        **{name: np.array(column) for name, column in columns.items()},
        start_s=np.array([0.0, 0.0, 3.0]),
        end_s=np.array([2.0, 1.0, 7.0]),
        share=np.ones(3),
    )
    assert seconds_by_phase(timeline) == {"work": 6.0, "waiting": 1.0}


def test_other_schemes_take_what_the_comparison_says(plan_of):
    """At the cut that the comparison chose, both give the same seconds; some have no time."""
    plan = plan_of("digits-splitfed")
    program = program_of(plan)
    rows = {row.scheme: row for row in compare_schemes(Scenario.load("digits-splitfed")).rows}
    federated = VirtualClock(program.trained_by("federated")).round(0)
    assert federated.seconds == pytest.approx(rows["fl"].round_s)
    assert VirtualClock(program.trained_by("centralized")).round(0) is None
    for scheme, label in (("vanilla", "sl"), ("splitfed_v2", "sflv2")):
        own = (rows[label].cut.split()[-1].strip("()"),)
        assert own[0] in program.profile.layers, rows[label].cut
        clients = tuple(replace(client, cuts=own) for client in program.clients)
        other = replace(program, clients=clients).trained_by(scheme)
        assert VirtualClock(other).round(0).seconds == pytest.approx(rows[label].round_s)


def test_local_steps_are_counted_for_other_schemes(plan_of):
    """One epoch of CPSL is a mini-batch: with ten of ten, FL walks through all data once."""
    program = program_of(plan_of("digits-clusters")).trained_by("federated")
    ten = VirtualClock(program).round(0).seconds
    five = VirtualClock(replace(program, local_steps=5)).round(0).seconds
    walk = VirtualClock(
        replace(
            program,
            local_steps=None,
            scenario=program.scenario.model_copy(
                update={"training": program.scenario.training.model_copy(update={"epochs": 1})}
            ),
        )
    ).round(0)
    assert ten == pytest.approx(walk.seconds)
    assert five < ten


@pytest.mark.parametrize(
    ("scheme", "asked"),
    [
        ("vanilla", {"order": "shuffled"}),
        ("splitfed_v2", {}),
        ("splitfed_v2", {"server_order": "batch"}),
        ("splitfed_v2", {"server_order": "batch", "client_fraction": 0.5}),
        ("splitfed_v1", {"client_fraction": 0.5}),
        ("federated", {"client_fraction": 0.5, "order": "shuffled"}),
    ],
)
@pytest.mark.one_quick
def test_the_tasks_of_a_drawn_round_take_what_its_closed_form_says(scheme, asked):
    """Of those who were drawn, in the order that was drawn, and of nobody else."""
    plan = splitopt.plan("digits-splitfed", scheme=scheme)
    made = prepare(TrainingJob(plan, options=Options(**asked)))
    clock = VirtualClock(made.program, scheme=made.scheme)
    for number in range(4):
        found = clock.timeline(number)
        assert found.makespan_s == pytest.approx(clock.round(number).seconds, rel=1e-9)
        served = made.scheme.served(number)
        names = [made.scheme.clients[n].name for n in served[0]]
        assert {task.owner for task in found} == set(names)
        if scheme == "vanilla":
            first = {task.owner: task.start_s for task in reversed(list(found))}
            assert sorted(names, key=first.__getitem__) == names


def test_data_of_fewer_samples_than_planned_take_the_time_of_the_plan():
    """Batch by batch there are fewer turns then, and an order for each of them."""
    plan = splitopt.plan("digits-splitfed", scheme="splitfed_v2", server_order="batch")
    rng = np.random.default_rng(0)
    data = rng.normal(size=(60, 1, 8, 8)).astype(np.float32), np.arange(60) % 10
    run = splitopt.train(plan, data=data, samples="data", rounds=1, options=Options(order="given"))
    (row,) = run.history
    assert row.round_s == pytest.approx(plan.prediction["round_s"])
