"""Steps of replicated pipelines event by event: worked out by hand, and beside the closed forms."""

import numpy as np
import pytest

from splitopt import InputError, ReplicatedPipeline, solve
from splitopt.bench.instances.families.replicated_pipeline import BENCHMARK
from splitopt.simulation.schedules import run_schedule


def two_stages(**fields):
    """Two layers of 1 s forward and 2 s backward, one in each stage."""
    data = {"forward_s": [[1.0, 1.0]], "backward_s": [[2.0, 2.0]], "devices": [2]}
    problem = ReplicatedPipeline(**(data | {"micro_batches": 4} | fields))
    return problem, problem.complete([1, 2], [[1], [1]])


def test_a_step_of_1f1b_by_hand():
    """(n + M - 1) x 3 s for M alike stages; the first holds two micro-batches, the last one."""
    run = run_schedule(*two_stages())
    assert run.step_s == (4 + 2 - 1) * 3
    assert run.held == ((2,), (1,))
    kinds = [(done.kind, done.micro_batch) for done in run.passes if done.stage == 1]
    assert kinds == [(kind, b) for b in range(4) for kind in ("forward", "backward")]


def test_a_step_of_gpipe_by_hand():
    """Four forward passes and one on the way, then as many backward: all are held at once."""
    run = run_schedule(*two_stages(schedule="gpipe"))
    assert run.step_s == (4 + 1) * 1 + (4 + 1) * 2
    assert run.held == ((4,), (4,))


def test_replicas_take_turns_and_meet_in_an_all_reduce():
    problem = ReplicatedPipeline(
        [[1.0]], [[2.0]], [2], 4, weight_bytes=[8.0], bandwidth_bytes_per_s=[4.0]
    )
    run = run_schedule(problem, problem.complete([1], [[2]]))
    assert run.step_s == 2 * 3 + 2 * (2 - 1) / 2 * 8 / 4
    assert [done.device for done in run.passes].count(0) == 4
    assert run.step_s == 4 * problem.evaluate(problem.complete([1], [[2]]))


def test_transfers_and_recompute_are_part_of_the_passes():
    problem, decision = two_stages(
        cut_up_bytes=[0.0, 2.0, 0.0],
        cut_down_bytes=[0.0, 4.0, 0.0],
        bandwidth_bytes_per_s=[2.0],
        duplex="half",
        recompute="always",
        micro_batches=1,
    )
    (first, *_), run = problem.stages(decision), run_schedule(problem, decision)
    assert first.period_s == 1 + 1 + 2 + 6 / 2
    assert run.step_s == 2 * first.period_s
    assert [done.end_s - done.start_s for done in run.passes] == [2, 2, 5, 5]


@pytest.mark.parametrize("family", ["plain", "types", "memory", "gpipe", "pipedream", "whole"])
@pytest.mark.one_quick
def test_no_device_holds_more_than_its_memory_was_planned_for(family):
    """Nor is a pipeline ever quicker than its closed form, once the all-reduce is apart."""
    for seed in range(4):
        problem = BENCHMARK.families[family](seed=seed, layers=12, devices=6)
        decision = solve(problem).decision
        stages, run = problem.stages(decision), run_schedule(problem, decision)
        for stage, team in zip(stages, run.held, strict=True):
            copies = np.repeat(stage.copies, stage.devices)
            assert (np.array(team) <= copies).all()
        dealt = max(stage.dealt_s for stage in stages)
        assert len(run.passes) == 2 * len(stages) * problem.micro_batches
        if all(stage.devices.sum() == 1 for stage in stages):
            assert run.step_s >= problem.micro_batches * dealt * (1 - 1e-9)


def test_alike_stages_keep_their_period():
    """Where every stage takes as long, 1F1B with the micro-batches in flight never waits."""
    problem = ReplicatedPipeline([[1.0] * 6], [[2.0] * 6], [6], 100, max_replicas=1)
    decision = problem.complete(range(1, 7), [[1]] * 6)
    step = [run_schedule(problem, decision, count).step_s for count in (50, 100)]
    assert step[1] - step[0] == pytest.approx(50 * problem.evaluate(decision))


def test_a_step_that_is_too_long_is_refused():
    problem, decision = two_stages()
    with pytest.raises(InputError, match="micro_batches: is 1,000,000 for 2 stages"):
        run_schedule(problem, decision, 10**6)
    with pytest.raises(InputError, match="micro_batches: is 0"):
        run_schedule(problem, decision, 0)
