"""The pipeline simulator: a second one, numbers by hand, limits, and what must never happen."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import InputError
from splitopt.latency.pipeline import Hops, OwnerParts, Stages
from splitopt.simulation.pipeline import run_pipeline
from splitopt.simulation.route import pipeline_route
from splitopt.simulation.system import PipelineSystem, Ports

MODELS = [
    ("none", "full"),
    ("links", "full"),
    ("links", "half"),
    ("interfaces", "full"),
    ("interfaces", "half"),
    ("serial", "full"),
    ("serial", "half"),
]


def finishes(timeline, owners):
    """Return the time at which each owner's last task ends, shape (K,)."""
    found = np.zeros(owners)
    np.maximum.at(found, timeline.owner, timeline.end_s)
    return found


@pytest.mark.one_quick
@pytest.mark.parametrize(("model", "duplex"), MODELS)
def test_agrees_with_the_second_simulator(by_processes, random_system, model, duplex):
    """Every owner finishes when it does in a simulator that was written another way."""
    rng = np.random.default_rng(7)
    for _ in range(60):
        system = random_system(rng, model, duplex)
        found = finishes(run_pipeline(system), len(system.owner_names))
        assert found == pytest.approx(by_processes(system), rel=1e-12)


@pytest.mark.parametrize(("model", "duplex"), MODELS)
def test_compiled_loop_is_its_plain_self(random_system, model, duplex):
    """The compiled loop gives the same times to the last bit, with and without noise."""
    system = random_system(np.random.default_rng(3), model, duplex, owners=7, nodes=3)
    for noise in (0.0, 0.3):
        plain = run_pipeline(system, noise=noise, compiled=False)
        fast = run_pipeline(system, noise=noise, compiled=True)
        assert plain.start_s.tolist() == fast.start_s.tolist()
        assert plain.end_s.tolist() == fast.end_s.tolist()


@pytest.mark.parametrize(("model", "duplex"), MODELS)
def test_nothing_overlaps_and_nothing_is_lost(random_system, model, duplex):
    """No resource overlaps itself, FIFO holds, and every resource does exactly its work."""
    rng = np.random.default_rng(11)
    for _ in range(20):
        system = random_system(rng, model, duplex)
        timeline = run_pipeline(system)
        assert timeline.overloads() == {}
        batches = int(system.batches_per_owner.sum())
        steps = len(pipeline_route(system).phase)
        owners, parts = int((system.batches_per_owner > 0).sum()), system.aggregation
        more = 0 if parts is None else 2 * owners + (parts.aggregate_s > 0)
        assert len(timeline) == batches * (steps - (parts is not None)) + more
        if system.shared:  # every batch crosses it four times, and the parts twice
            assert {"uplink", "downlink"} <= {usage.resource.name for usage in timeline.usage}
        used = {usage.resource.name: usage for usage in timeline.usage}
        for m, name in enumerate(system.node_names):
            if model == "serial":
                continue
            work = system.stages.forward_s[m] + system.stages.backward_s[m]
            assert used[name].busy_s == pytest.approx(batches * work)
        for name, usage in used.items():
            if model == "links" and usage.resource.kind == "link":
                assert usage.busy_s <= batches * max(system.busy_s.values()) * (1 + 1e-9)
                assert usage.tasks in (0, batches, 2 * batches), name


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_first_come_first_served(random_system, noise):
    """On each node, tasks start in the order in which the tasks before them ended."""
    system = random_system(np.random.default_rng(2), owners=8, nodes=3, batches=6)
    timeline = run_pipeline(system, noise=noise, seed=4)
    steps = len(pipeline_route(system).phase)
    order = np.lexsort((timeline.end_s, timeline.start_s, timeline.batch, timeline.owner))
    start, end = (column[order].reshape(-1, steps) for column in (timeline.start_s, timeline.end_s))
    arrival = np.zeros_like(start)
    arrival[:, 1:] = end[:, :-1]
    # The cycle of three nodes, with what arrives a delay of the owner's link later.
    cycle = pipeline_route(system).steps
    arrival[:, 1:] += cycle.delay[timeline.owner[order].reshape(-1, steps)[:, 0], :-1]
    for node in range(3):
        columns = np.flatnonzero(cycle.station == node)
        came, began = arrival[:, columns].ravel(), start[:, columns].ravel()
        assert (np.diff(began[np.argsort(came)]) >= 0).all()


@pytest.mark.parametrize(("model", "duplex"), MODELS)
def test_one_owner_takes_its_trips(random_system, model, duplex):
    """A single owner finds everything idle: its time is its trip times its batches."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        system = random_system(rng, model, duplex, owners=1)
        expected = float(system.trips_s[0] * system.batches_per_owner[0])
        if (parts := system.aggregation) is not None:
            expected += parts.upload_s[0] + parts.aggregate_s + parts.download_s[0]
            expected += 2 * system.owners.latency_s[0]
        assert run_pipeline(system).makespan_s == pytest.approx(expected)


def test_by_hand():
    """Two owners, one node, a link of 1 s each way: the second waits for the first."""
    owners = OwnerParts(
        1.0, 2.0, 1.0, to_first_s=1.0, from_last_s=1.0, to_last_s=1.0, from_first_s=1.0
    )
    system = PipelineSystem(Stages([3.0], [4.0]), owners, [1, 1])
    # Owner 0: 0-1 first part, 1-2 up, 2-5 node, 5-6 down, 6-8 last part, 8-9 up, 9-13 node,
    # 13-14 down, 14-15. Owner 1 waits for the node until 5, until 8 with it, 8-9 down, 9-11 last
    # part, 11-12 up, waits until 13, until 17, 17-18 down, 18-19.
    timeline = run_pipeline(system)
    assert finishes(timeline, 2).tolist() == [15, 19]
    node = timeline.select(timeline.resource == 0)
    assert list(zip(node.start_s, node.end_s, strict=True)) == [(2, 5), (5, 8), (9, 13), (13, 17)]
    assert system.trips_s.tolist() == [15, 15]
    assert system.period_s == 7
    assert timeline.usage[0].busy_s == 14


def test_messages_take_the_slower_interface():
    """A message over two interfaces lasts as long as the slower needs, in either direction."""
    ports = Ports(np.array([0.0, 12.0, 0.0]), np.array([0.0, 6.0, 0.0]), np.array([2.0, 3.0]))
    hops = Hops([6.0], [3.0])
    owners = OwnerParts(0.0, 0.0, 0.0)
    timeline = run_pipeline(
        PipelineSystem(Stages([1.0, 1.0], [1.0, 1.0]), owners, [1], hops, ports)
    )
    shown = {(task.resource, task.phase): (task.start_s, task.end_s) for task in timeline}
    assert shown["node 0 out", "activations"] == (1, 7)  # 12 B at 2 B/s
    assert shown["node 1 in", "activations"] == (3, 7)  # 12 B at 3 B/s, with the last byte at 7
    assert shown["node 1 out", "gradients"] == (9, 11)
    assert shown["node 0 in", "gradients"] == (9, 12)
    assert timeline.makespan_s == 13


def test_high_load_is_the_period():
    """Far above load 2 the time is the closed form's within 1 %, whatever binds."""
    rng = np.random.default_rng(1)
    stages = Stages(rng.uniform(0.5, 1.0, 4), rng.uniform(1.0, 2.0, 4))
    owners = OwnerParts(*rng.uniform(0.1, 1.0, (7, 60)))
    hops = Hops(rng.uniform(0.1, 1.0, 3), rng.uniform(0.1, 1.0, 3))
    slow = Hops(np.array([1.0, 9.0, 1.0]), np.array([1.0, 2.0, 1.0]))
    for moved, duplex, name in (
        (hops, "full", None),
        (slow, "full", "node 1 <-> node 2"),
        (slow, "half", "node 1 <-> node 2"),
    ):
        system = PipelineSystem(stages, owners, np.full(60, 20), moved, None, duplex)
        assert system.load > 2
        assert name in (None, system.binding)
        timeline = run_pipeline(system)
        assert timeline.makespan_s == pytest.approx(system.closed_form_s, rel=0.01)
        assert timeline.pace_s() == pytest.approx(system.period_s, rel=0.01)


def test_low_load_is_the_slowest_owner():
    """Far below load 1/4 nobody waits for anybody for long."""
    rng = np.random.default_rng(1)
    owners = OwnerParts(*rng.uniform(2.0, 6.0, (7, 5)))
    stages = Stages(rng.uniform(0.05, 0.1, 3), rng.uniform(0.1, 0.2, 3))
    system = PipelineSystem(stages, owners, np.full(5, 20))
    assert system.load < 0.1
    assert run_pipeline(system).makespan_s == pytest.approx(system.closed_form_s, rel=0.01)
    assert system.closed_form_s == pytest.approx(20 * system.trips_s.max())


def test_no_simulation_is_below_its_bounds(random_system):
    """No run ends before its busiest resource has done its work, nor before its slowest owner."""
    rng = np.random.default_rng(13)
    for model, duplex in MODELS:
        for _ in range(20):
            system = random_system(rng, model, duplex)
            batches = system.batches_per_owner
            lower = max(int(batches.sum()) * system.period_s, (batches * system.trips_s).max())
            assert run_pipeline(system).makespan_s >= lower * (1 - 1e-12)


def test_noise_is_seeded_and_has_mean_one(random_system):
    """The same seed gives the same run; tasks keep their mean length."""
    system = random_system(np.random.default_rng(3), owners=6, nodes=3, batches=80)
    first, again, other = (run_pipeline(system, noise=0.4, seed=s) for s in (1, 1, 2))
    assert first.end_s.tolist() == again.end_s.tolist()
    assert first.makespan_s != other.makespan_s
    lengths = first.end_s - first.start_s
    exact = run_pipeline(system)
    ratio = lengths.sum() / (exact.end_s - exact.start_s).sum()
    assert ratio == pytest.approx(1.0, abs=0.05)
    assert first.overloads() == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"batches_per_owner": [1.5]}, "batches_per_owner"),
        ({"batches_per_owner": []}, "batches_per_owner"),
        ({"duplex": "both"}, "duplex"),
        ({"stages": Stages([1.0], [np.inf])}, "backward_s"),
        ({"stages": Stages([1.0], [1.0, 2.0])}, "backward_s"),
        ({"owners": OwnerParts(-1.0, 1.0, 1.0)}, "owners.first_forward_s"),
        ({"node_names": ("a", "b")}, "node_names"),
        ({"ports": Ports(np.ones(2), np.ones(3), np.ones(1))}, "ports.down_bytes"),
    ],
)
def test_wrong_systems_are_refused(change, words):
    """The message names the field."""
    good = {
        "stages": Stages([1.0], [1.0]),
        "owners": OwnerParts(1.0, 1.0, 1.0),
        "batches_per_owner": [2],
    }
    with pytest.raises(InputError, match=words):
        PipelineSystem(**{**good, **change})


def test_negative_noise_is_refused():
    """A negative noise is no standard deviation."""
    system = PipelineSystem(Stages([1.0], [1.0]), OwnerParts(1.0, 1.0, 1.0), [2])
    with pytest.raises(InputError, match="noise: is -1"):
        run_pipeline(system, noise=-1)


def test_300_owners_and_5_nodes():
    """The size that is asked for: nearly two hundred thousand tasks, none lost."""
    rng = np.random.default_rng(0)
    owners = OwnerParts(*rng.uniform(1.0, 30.0, (7, 300)))
    hops = Hops(*rng.uniform(0.01, 0.1, (2, 4)))
    stages = Stages(*rng.uniform(0.1, 0.6, (2, 5)))
    system = PipelineSystem(stages, owners, np.full(300, 32), hops)
    timeline = run_pipeline(system)
    assert len(timeline) == 300 * 32 * 25
    assert timeline.overloads() == {}
