"""Plans of `GraphPartition`, which are trained without devices that own data."""

from __future__ import annotations

from splitopt.errors import InputError
from splitopt.planning.planner import OpenedPlan
from splitopt.training.program import Program


def program(opened: OpenedPlan, plan_digest: str, source: str) -> Program:  # noqa: ARG001
    """Raise `InputError`: the plan places the layers of a graph, and has no clients.

    Raises
    ------
    InputError
        Always; the message names what trains it.
    """
    raise InputError(
        f"{source}: is a plan of graph_partition, whose parts are no chain and have no clients; "
        "splitopt.training.graph.train_graph(plan, model, batches, ...) trains it in Python, and "
        "'splitopt simulate' replays it"
    )
