"""A plan of a graph and a model that was traced again: the same layers, and parts that add up."""

from __future__ import annotations

from torch import nn

from splitopt.errors import InputError
from splitopt.problems.graph_partition import GraphPartitionDecision
from splitopt.profiles.tracing.running.example import Inputs
from splitopt.profiles.tracing.split import SplitModel
from splitopt.training.graph.pipeline import GraphPipeline
from splitopt.training.graph.preparing import check_parts, layers_for
from splitopt.training.graph.split import GraphSplit
from splitopt.training.job import TrainingJob
from splitopt.training.program import Program


def graph_split(program: Program, split: SplitModel) -> GraphSplit:
    """Return how a scheme takes a copy of a traced model apart for a plan."""
    decision = program.opened.decision
    assert isinstance(decision, GraphPartitionDecision)
    return GraphSplit(
        split.split, split.state.written, model=split, device=tuple(decision.device.tolist())
    )


def match_graph(
    job: TrainingJob, program: Program, module: nn.Module, inputs: Inputs
) -> SplitModel:
    """Trace the model of a job again, and see that it is that of the plan and comes apart.

    Raises
    ------
    InputError
        It is another model, or the job names cuts of a chain.
    CapabilityError
        The parts do not compute what the whole does.
    """
    if job.match == "names":
        raise InputError.at(
            "match",
            "is 'names', and the parts of a graph need the model that was profiled; leave it out",
        )
    if job.stages is not None:
        raise InputError.at(
            "stages", "is for cuts of a chain, and a graph has its own; leave it out"
        )
    if program.profile.trace is None:
        raise InputError.at(
            "model",
            f"cannot be compared with the profile {program.profile.name!r}, which was not traced "
            "from a module; profile yours with boundaries 'graph' and plan anew",
        )
    layers = layers_for(program.profile, module, inputs)
    decision = program.opened.decision
    assert isinstance(decision, GraphPartitionDecision)
    pipeline = GraphPipeline.of(layers, decision.device.tolist())
    check_parts(pipeline, layers.split.module, inputs)
    return layers.split
