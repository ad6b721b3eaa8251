"""The comparison of timelines recovers what was done to one of them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import splitopt
from splitopt.errors import InputError
from splitopt.planning.planner import open_plan
from splitopt.simulation.replay import simulate_decision
from splitopt.timeline import Resource, Timeline
from splitopt.training.validation.comparing import WAITING, compare, over_rounds


@pytest.fixture(scope="module")
def opened(pytestconfig):
    """Return the problem, decision, scenario and profile of small plans by their problem's name."""
    found = {}
    for problem, name in (
        ("cut_and_resources", "dp-mora-resnet18"),
        ("pipeline_partition", str(pytestconfig.rootpath / "examples" / "pipeline-vgg19.yaml")),
    ):
        scenario = splitopt.Scenario.load(name)
        plan = splitopt.plan(scenario, problem=problem, time_limit_s=5.0)
        parts = open_plan(plan)
        found[problem] = (parts.problem, parts.decision, parts.scenario, parts.profile)
    return found


@pytest.fixture
def clusters(random_clusters):
    """Return two clusters that run three local epochs, and a decision."""
    from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrumDecision

    problem = random_clusters(3, sizes=(3, 2), local_epochs=3)
    decision = ClusterAndSpectrumDecision(((0, 2, 4), (1, 3)), np.array([2, 4, 3, 4, 3]))
    return problem, decision


def changed(opened, name, factor):
    """Simulate with a table of the problem multiplied, the decision left as it is."""
    problem, decision, scenario, profile = opened
    other = replace(problem, **{name: getattr(problem, name) * factor})
    return simulate_decision(other, decision, scenario=scenario, profile=profile).timeline


def by_phase(validation):
    return {row.phase: row for row in validation.phases}


@pytest.mark.slow
def test_a_timeline_is_what_it_was_predicted_to_be(opened, clusters):
    """No error, no culprit, nothing missing, every step in order, whatever the problem."""
    for problem, decision, *rest in (*opened.values(), clusters):
        scenario, profile = rest or (None, None)
        own = simulate_decision(problem, decision, scenario=scenario, profile=profile).timeline
        same = compare(own, own)
        assert same.relative_error == 0
        assert same.culprit is None
        assert (same.missing, same.extra) == ((), ())
        assert same.steps.relative_error == 0
        assert same.steps.out_of_order == same.steps.incomplete == 0
        assert sum(row.tasks for row in same.phases) == len(own)
        assert same.waiting_s[0] >= -1e-9 * own.makespan_s
        on_path = sum(row.path_predicted_s for row in same.phases)
        assert on_path + same.waiting_s[0] == pytest.approx(own.makespan_s)


@pytest.mark.slow
def test_slower_uploads_are_found_where_nobody_waits(opened):
    """Of a link at 1/1.3 of its rate, every upload tells, and nothing else does."""
    problem, decision, scenario, profile = opened["cut_and_resources"]
    own = simulate_decision(problem, decision, scenario=scenario, profile=profile).timeline
    found = compare(own, changed(opened["cut_and_resources"], "upload_s", 1.3))
    for phase, row in by_phase(found).items():
        wanted = 0.3 if "upload" in phase else 0.0
        assert row.relative_error == pytest.approx(wanted, abs=1e-9)
        assert row.stretch.median == pytest.approx(1 + wanted, abs=1e-9)
    assert found.culprit.name in ("upload", "model upload")
    longest = by_phase(found)[found.culprit.name]
    assert found.culprit.seconds == pytest.approx(0.3 * longest.path_predicted_s)
    assert 0 < found.steps.relative_error < 0.3


def test_slower_server_is_found_on_the_path_of_clusters(clusters):
    """Everybody waits for the server: all of its delay is on the path."""
    problem, decision = clusters
    own = simulate_decision(problem, decision).timeline
    found = compare(own, changed((*clusters, None, None), "server_s_per_device", 2.0))
    server = by_phase(found)["server"]
    assert server.relative_error == pytest.approx(1.0)
    assert found.culprit.name == "server"
    assert found.culprit.seconds == pytest.approx(found.measured_s - found.predicted_s)
    assert server.path_predicted_s == pytest.approx(server.predicted_s)


@pytest.mark.slow
def test_slower_nodes_are_found_although_owners_queue(opened):
    """In a pipeline a slower phase also makes others wait; the gains add up all the same."""
    problem, decision, scenario, profile = opened["pipeline_partition"]
    own = simulate_decision(problem, decision, scenario=scenario, profile=profile).timeline
    found = compare(own, changed(opened["pipeline_partition"], "backward_s", 1.5))
    for phase, row in by_phase(found).items():
        assert row.stretch.median == pytest.approx(1.5 if phase == "backward" else 1.0)
    total = sum(gain.seconds for gain in found.gains)
    assert total == pytest.approx(found.measured_s - found.predicted_s)
    assert found.steps.out_of_order == 0


@pytest.mark.one_quick
@pytest.mark.parametrize("noise", [0.05, 0.3])
def test_noise_spreads_and_does_not_bias(opened, noise):
    """Lognormal factors of mean 1: sums are right, quartiles are as far apart as the noise says."""
    problem, decision, scenario, profile = opened["cut_and_resources"]
    own, noisy = (
        simulate_decision(
            problem, decision, scenario=scenario, profile=profile, noise=level, seed=4
        ).timeline
        for level in (0.0, noise)
    )
    found = compare(own, noisy)
    forward = by_phase(found)["device forward"]
    assert forward.tasks > 1000
    assert abs(forward.relative_error) < 0.1 * noise
    spread = np.log(forward.stretch.high / forward.stretch.low)
    assert spread == pytest.approx(2 * 0.6745 * np.sqrt(np.log1p(noise**2)), rel=0.1)


@pytest.mark.slow
def test_a_device_that_was_dropped_is_named(opened):
    """Its tasks are missing, its steps are incomplete, and the rest is compared."""
    problem, decision, scenario, profile = opened["cut_and_resources"]
    own = simulate_decision(problem, decision, scenario=scenario, profile=profile).timeline
    gone = (own.owner == 1) & (own.batch >= 7)
    found = compare(own, own.select(~gone))
    (missing,) = found.missing
    assert (missing.owner, missing.tasks, missing.first_batch) == (own.owners[1], gone.sum(), 7)
    assert found.steps.incomplete == len(np.unique(own.batch[gone]))
    assert found.steps.relative_error == 0
    (extra,) = compare(own.select(~gone), own).extra
    assert extra == missing


def tasks(rows, owners=("a", "b")):
    """Build a timeline from rows of phase, owner, batch, start and end."""
    phases = ("up", "work", "down")
    columns = list(zip(*rows, strict=True))
    return Timeline(
        (Resource("line", "link"),),
        phases,
        owners,
        resource=[0] * len(rows),
        phase=[phases.index(phase) for phase in columns[0]],
        owner=[owners.index(owner) for owner in columns[1]],
        batch=columns[2],
        start_s=columns[3],
        end_s=columns[4],
        share=[1.0] * len(rows),
    )


def test_a_step_in_another_order_is_counted():
    """Work that began before the upload was over is no error of order; before it began, it is."""
    predicted = tasks([("up", "a", 0, 0, 1), ("work", "a", 0, 1, 2), ("up", "a", 1, 2, 3)])
    early = tasks([("up", "a", 0, 0.5, 1), ("work", "a", 0, 0.4, 2), ("up", "a", 1, 2, 3)])
    overlapping = tasks([("up", "a", 0, 0.3, 1), ("work", "a", 0, 0.4, 2), ("up", "a", 1, 2, 3)])
    assert compare(predicted, early).steps.out_of_order == 1
    assert compare(predicted, overlapping).steps.out_of_order == 0


def test_waiting_explains_what_no_phase_on_the_path_does():
    """A gap on the path, or a party that unexpectedly comes in last."""
    predicted = tasks([("up", "a", 0, 0, 1), ("work", "a", 0, 1, 3), ("up", "b", 0, 0, 1)])
    waits = tasks([("up", "a", 0, 0, 1), ("work", "a", 0, 2, 4), ("up", "b", 0, 0, 1)])
    found = compare(predicted, waits)
    assert (found.culprit.name, found.culprit.seconds) == (WAITING, 1.0)
    slow = tasks([("up", "a", 0, 0, 1), ("work", "a", 0, 1, 3), ("up", "b", 0, 0, 9)])
    found = compare(predicted, slow)
    assert (found.culprit.name, found.culprit.seconds) == (WAITING, 6.0)


def test_names_count_and_not_their_order():
    """Two timelines may number resources, phases and owners differently."""
    rows = [("up", "a", 0, 0, 1), ("work", "b", 0, 1, 2)]
    found = compare(tasks(rows), tasks(rows, owners=("c", "b", "a")))
    assert found.relative_error == 0
    assert found.missing == found.extra == ()


def test_rounds_follow_one_another():
    """Two rounds are one timeline; a round that lacks its last batch does not shift the next."""
    one = tasks([("up", "a", 0, 0, 1), ("work", "a", 0, 1, 2), ("up", "a", 1, 2, 3)])
    whole, same = over_rounds([one, one], [one, one])
    assert whole.makespan_s == same.makespan_s == 6
    assert compare(whole, same).steps.count == 4
    predicted, measured = over_rounds([one, one], [one.select([0, 1]), one])
    found = compare(predicted, measured)
    assert (found.predicted_s, found.measured_s) == (6, 5)
    assert [(gone.tasks, gone.first_batch) for gone in found.missing] == [(1, 1)]
    assert found.extra == ()
    assert over_rounds([one], [one]) == (one, one)


def test_json_is_finite(opened):
    """A phase that was to take no time has no relative error, and JSON says null."""
    predicted = tasks([("up", "a", 0, 0, 0), ("work", "a", 0, 0, 2)])
    measured = tasks([("up", "a", 0, 0, 1), ("work", "a", 0, 1, 3)])
    document = json.loads(json.dumps(compare(predicted, measured).to_dict(), allow_nan=False))
    assert document["phases"][0]["relative_error"] is None
    assert document["relative_error"] == 0.5
    assert document["culprit"] == {"name": WAITING, "seconds": 1.0}


def test_timelines_of_different_plans_are_refused():
    """Nothing in common is a mistake, not an error of 100 %."""
    with pytest.raises(InputError, match="no task of the predicted"):
        compare(tasks([("up", "a", 0, 0, 1)]), tasks([("up", "b", 3, 0, 1)]))
