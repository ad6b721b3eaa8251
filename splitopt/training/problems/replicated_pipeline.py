"""Plans of `ReplicatedPipeline`: stages on machines that share their micro-batches.

A round is a step of the optimizer over the micro-batches of the scenario; the host has all data.
"""

from __future__ import annotations

import numpy as np

from splitopt.errors import InputError
from splitopt.planning.planner import OpenedPlan
from splitopt.problems.replicated_pipeline import ReplicatedPipeline, ReplicatedPipelineDecision
from splitopt.problems.replicated_pipeline.tables import replication_of
from splitopt.simulation.replicated_pipeline import MOST_REPLAYED
from splitopt.training.other_schemes import REPLICAS
from splitopt.training.program import ClientPlan, Party, Program, cut_name, make_program

HOST = "host"
"""The name of the one client: it has the data, and machines read them in no time."""


def program(opened: OpenedPlan, plan_digest: str, source: str) -> Program:
    """Return what a plan asks: steps over micro-batches, which the machines of a stage share.

    Raises
    ------
    InputError
        The schedule is ``pipedream``, whose weights are updated all the time, or a round has more
        passes than are replayed, so that it has no time.
    """
    problem, decision = opened.problem, opened.decision
    assert isinstance(problem, ReplicatedPipeline)
    assert isinstance(decision, ReplicatedPipelineDecision)
    section, stages = replication_of(opened.scenario), len(decision.ends)
    count = section.micro_batches
    if section.schedule == "pipedream":
        raise InputError(
            f"{source}: is a plan for the schedule pipedream, which updates weights all the time "
            "with gradients of older ones; rounds here are steps of the whole model, so plan with "
            "replication.schedule 1f1b or gpipe to train it"
        )
    if 2 * stages * count > MOST_REPLAYED:
        raise InputError(
            f"{source}: a round of {count:,} micro-batches in {stages} stages is too long to be "
            "replayed, which gives it its time; plan with replication.micro_batches of "
            f"{MOST_REPLAYED // (2 * stages):,} at most"
        )
    cuts = tuple(name for end in decision.ends.tolist() for name in cut_name(opened.profile, end))
    client = ClientPlan(HOST, cuts, section.batch_size * count, section.batch_size)
    return make_program(
        opened,
        REPLICAS,
        plan_digest,
        clients=(client,),
        local_steps=count,
        holders=tuple(Party(f"stage {number + 1}", "node") for number in range(stages)),
        all_data=True,
    )


def shares_of(opened: OpenedPlan) -> list[list[float]]:
    """Return for each stage, for each of its machines, the part of the micro-batches it does."""
    problem, decision = opened.problem, opened.decision
    assert isinstance(problem, ReplicatedPipeline)
    assert isinstance(decision, ReplicatedPipelineDecision)
    return [np.repeat(own.shares, own.devices).tolist() for own in problem.stages(decision)]
