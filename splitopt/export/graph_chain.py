"""A plan of `GraphPartition` whose machines make a chain, as an export of a chain takes it."""

from __future__ import annotations

from itertools import groupby, pairwise
from pathlib import Path

from splitopt.errors import InputError
from splitopt.export.graph_parts import opened_graph
from splitopt.export.holders import Chain
from splitopt.export.job import Job
from splitopt.export.preparing import opened_model
from splitopt.export.sample import Sample
from splitopt.export.weights import read_weights
from splitopt.planning.planner import OpenedPlan
from splitopt.plans import plan_digest
from splitopt.problems.graph_partition import GraphPartitionDecision
from splitopt.problems.graph_partition.tables import accelerators_of
from splitopt.profiles.tracing.running.example import inputs_of
from splitopt.profiles.tracing.split import SplitModel
from splitopt.training.graph.preparing import layers_for
from splitopt.training.job import TrainingJob
from splitopt.training.preparing.matching import fingerprint, rows_of
from splitopt.training.program import ClientPlan, Party, make_program

FORMATS = ("torch-pipelining",)
"""Formats of chains that take such a plan."""


def chain_job(job: TrainingJob, sample: Sample, weights: str | Path | None = None) -> Job:
    """Open the model of a job and split it where its machines hand on one tensor.

    Raises
    ------
    InputError
        The machines make no chain, or the model is not the one that was planned.
    InfeasibleError
        The plan has no decision.
    """
    opened = opened_graph(job, FORMATS)
    section, profile = accelerators_of(opened.scenario), opened.profile
    module, example, origin = opened_model(job.model, sample, profile)
    inputs = inputs_of(example, module)
    split = layers_for(profile, module, inputs).split
    machines, cuts = _chain(opened, split, job.source)
    names = section.names()
    parties = tuple(Party(names[machine], "node") for machine in machines)
    samples, pieces = section.batch_size * section.micro_batches, section.micro_batches
    told = {"micro_batches": pieces}
    digest = plan_digest(opened.plan)
    client = ClientPlan(parties[0].name, cuts, samples, samples, told)
    program = make_program(opened, "chain", digest, clients=(client,), holders=parties[1:])
    return Job(
        job.plan,
        program,
        (Chain(client.name, cuts, parties, samples, samples, told),),
        split,
        inputs,
        fingerprint(rows_of(profile)),
        origin,
        None if weights is None else read_weights(weights, module),
    )


def _chain(opened: OpenedPlan, split: SplitModel, source: str) -> tuple[list[int], tuple[str, ...]]:
    """Return the machines in the order of the chain, and the layers behind which it is cut.

    Raises
    ------
    InputError
        A machine has layers in several places of the order of execution, or hands on several
        tensors.
    """
    assert isinstance(opened.decision, GraphPartitionDecision)
    device = opened.decision.device.tolist()
    machines = [machine for machine, _ in groupby(device)]
    ends = [layer for layer, (a, b) in enumerate(pairwise(device)) if a != b]
    several = [end for end in ends if split.structure.values[end] in split.packed]
    if len(set(machines)) < len(machines) or several:
        raise InputError(
            f"{source}: its machines make no chain of stages that hand on one tensor each, which "
            "is what 'torch-pipelining' holds; export it to 'torch'"
        )
    return machines, tuple(opened.profile.layers[end] for end in ends)
