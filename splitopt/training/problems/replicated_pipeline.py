"""Plans of `ReplicatedPipeline`: stages on machines that share their micro-batches."""

from __future__ import annotations

from splitopt.errors import InputError
from splitopt.planning.planner import OpenedPlan
from splitopt.training.program import Program


def program(opened: OpenedPlan, plan_digest: str, source: str) -> Program:
    """Raise `InputError`: the stages of such a plan are not trained.

    Raises
    ------
    InputError
        Always; the message names what takes the plan.
    """
    del opened, plan_digest
    raise InputError(
        f"{source}: is a plan of replicated_pipeline, whose replicated stages are not trained "
        "here; 'splitopt simulate' replays it"
    )
