"""Replays of replicated pipelines, from arrays alone."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import InputError, ReplicatedPipeline, solve
from splitopt.bench.instances.benchmark import Recipe, find_benchmark
from splitopt.simulation import simulate_decision
from splitopt.simulation.replicated_pipeline import full_pace, step_seconds
from splitopt.simulation.schedules import run_schedule


@pytest.mark.parametrize("family", ["plain", "types", "memory", "gpipe", "pipedream"])
def test_a_replay_keeps_to_its_loads(family):
    """Every machine does its micro-batches one at a time, forward before backward."""
    problem = find_benchmark("replicated_pipeline").draw(
        Recipe(family, {"layers": 6, "devices": 4})
    )
    decision = solve(problem).decision
    replay = simulate_decision(problem, decision)
    timeline, stages = replay.timeline, problem.stages(decision)
    assert timeline.overloads() == {}
    assert replay.simulated_s == pytest.approx(run_schedule(problem, decision).step_s)
    flush = problem.schedule != "pipedream"
    slowest = max(stage.dealt_s for stage in stages)
    for usage in timeline.usage:
        assert usage.busy_s <= replay.simulated_s * (1 + 1e-9)
    work = sum(usage.busy_s for usage in timeline.usage)
    reduced = sum(s.all_reduce_s * problem.micro_batches * s.devices.sum() for s in stages)
    assert work >= (reduced if flush else 0.0)
    # a whole number of micro-batches is dealt, so that a long step misses the shares by a few
    assert full_pace(problem, decision) >= slowest * 0.98
    for batch in range(problem.micro_batches):
        own = [task for task in timeline if task.batch == batch and task.phase != "all-reduce"]
        ends = {(task.phase, task.resource): task.end_s for task in own}
        forward = [end for (phase, _), end in ends.items() if phase == "forward"]
        backward = [end for (phase, _), end in ends.items() if phase == "backward"]
        if forward and backward:
            assert max(forward) <= min(backward) + 1e-12


def test_the_pace_of_equal_stages_is_the_promise():
    """Two stages of 3 s with no transfers and 2 micro-batches in flight never wait."""
    problem = ReplicatedPipeline([[1.0, 1.0]], [[2.0, 2.0]], [2], 12)
    decision = {"ends": [1, 2], "devices": [[1], [1]], "recompute": [False, False]}
    assert full_pace(problem, problem.decode(decision)) == pytest.approx(3.0)
    # fill: 1 s, then 12 x 3 s of the second stage, then its last micro-batch goes back: 2 s
    replay = simulate_decision(problem, decision)
    assert replay.simulated_s == pytest.approx(39.0)
    assert dict(replay.facts)["Period that a full pipeline reaches"].startswith("3 s")


def test_an_all_reduce_ends_the_step():
    """Two replicas, 8 bytes of weights, 1 byte/s: 2 * 1/2 * 8 s behind the last pass."""
    problem = ReplicatedPipeline(
        [[1.0]], [[2.0]], [2], 4, weight_bytes=[8.0], bandwidth_bytes_per_s=[1.0]
    )
    decision = {"ends": [1], "devices": [[2]], "recompute": [False]}
    replay = simulate_decision(problem, decision)
    assert replay.simulated_s == pytest.approx(2 * 3 + 8)
    ends = [task for task in replay.timeline if task.phase == "all-reduce"]
    assert [(task.start_s, task.end_s) for task in ends] == [(6.0, 14.0)] * 2
    assert {task.resource for task in ends} == {"type 0-1", "type 0-2"}


def test_noise_stretches_and_factors_are_checked():
    """The same seed gives the same step; a step of no such shape is refused."""
    problem = find_benchmark("replicated_pipeline").draw(
        Recipe("types", {"layers": 6, "devices": 4})
    )
    decision = solve(problem).decision
    one, two = (simulate_decision(problem, decision, noise=0.2, seed=3) for _ in range(2))
    assert one.simulated_s == two.simulated_s
    assert one.simulated_s != simulate_decision(problem, decision).simulated_s
    doubled = np.full((len(decision.ends), problem.micro_batches, 2), 2.0)
    plain = run_schedule(problem, decision)
    stretched = run_schedule(problem, decision, factors=doubled)
    assert stretched.passes[-1].end_s == pytest.approx(2 * plain.passes[-1].end_s)
    with pytest.raises(InputError, match="factors: has shape"):
        run_schedule(problem, decision, factors=np.ones((1, 1, 1)))


def test_a_long_step_follows_at_its_pace(monkeypatch):
    """Beyond the limit, as the second half of what was run: here nearly exactly."""
    problem = ReplicatedPipeline([[1.0, 1.0]], [[2.0, 2.0]], [2], 60)
    decision = problem.decode({"ends": [1, 2], "devices": [[1], [1]]})
    whole = step_seconds(problem, decision)
    for limit in ("MOST_RUN", "MOST_REPLAYED"):
        monkeypatch.setattr(f"splitopt.simulation.replicated_pipeline.{limit}", 80)
    assert step_seconds(problem, decision) == pytest.approx(whole)
    replay = simulate_decision(problem, decision)
    assert replay.span == "the first part of a round, 20 micro-batches"
