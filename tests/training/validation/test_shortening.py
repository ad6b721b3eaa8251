"""The first steps of a plan are those of the whole round."""

from __future__ import annotations

import numpy as np
import pytest

import splitopt
from splitopt.errors import InfeasibleError, InputError
from splitopt.training.program import program_of
from splitopt.training.validation.comparing import compare
from splitopt.training.validation.shortening import first_steps

NAMES = ("digits-splitfed", "digits-clusters", "digits-pipeline")


@pytest.fixture(scope="module", params=NAMES)
def plan(request):
    """Return a shipped plan."""
    return splitopt.plan(splitopt.Scenario.load(request.param), time_limit_s=10.0)


def test_every_task_of_the_first_steps_takes_what_it_did(plan):
    """Two steps of each device, task by task as long as in the whole round; it can be saved."""
    short = first_steps(plan, 2)
    whole, part = (splitopt.simulate(one).timeline for one in (plan, short))
    assert part.makespan_s < 0.5 * whole.makespan_s
    clustered = plan.problem == "cluster_and_spectrum"  # a gradient counts for the next batch
    for owner in range(len(part.owners)):
        assert part.batch[part.owner == owner].max() == (2 if clustered else 1)
    found = compare(whole, part)
    for row in found.phases:
        assert row.stretch.low == pytest.approx(1.0)
        assert row.stretch.high == pytest.approx(1.0)
    # Only the model's way up, and a pipeline's back, comes earlier than in the whole round.
    earlier = {"model upload", "parts upload", "parts download"}
    assert {phase for one in found.extra for phase in one.phases} <= earlier
    again = splitopt.Plan.from_dict(short.to_dict())
    assert splitopt.simulate(again).timeline.makespan_s == part.makespan_s


def test_the_same_is_trained(plan):
    """Cuts, batches and clusters are as planned, the local work is less."""
    before, after = program_of(plan), program_of(first_steps(plan, 3))
    assert [c.cuts for c in before.clients] == [c.cuts for c in after.clients]
    assert [c.batch_size for c in before.clients] == [c.batch_size for c in after.clients]
    assert before.groups == after.groups
    if after.local_steps is None:
        assert all(c.samples == 3 * c.batch_size for c in after.clients)
        assert after.local_epochs == 1
    else:
        assert after.local_steps == 3


def test_more_steps_than_there_are_change_nothing(plan):
    """A round is not made longer."""
    short, whole = first_steps(plan, 10_000), splitopt.simulate(plan).timeline
    assert np.array_equal(splitopt.simulate(short).timeline.end_s, whole.end_s)


def test_bad_input(plan):
    """No steps, or none to shorten."""
    for steps in (0, -1, 1.5, True):
        with pytest.raises(InputError, match="steps"):
            first_steps(plan, steps)
    document = plan.to_dict()
    nothing = splitopt.Plan(
        plan.problem, plan.objective, plan.scenario, plan.profile, None, None, document["result"]
    )
    with pytest.raises(InfeasibleError, match="nothing to run"):
        first_steps(nothing, 2)
