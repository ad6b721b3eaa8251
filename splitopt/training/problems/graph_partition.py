"""Plans of `GraphPartition`: machines with any layers of a graph, and the host, which has all data.

A round is a step of the optimizer over the micro-batches of the scenario.
"""

from __future__ import annotations

from splitopt.errors import InputError
from splitopt.planning.planner import OpenedPlan
from splitopt.problems.graph_partition import GraphPartition, GraphPartitionDecision
from splitopt.problems.graph_partition.stations import stations_of
from splitopt.problems.graph_partition.tables import accelerators_of
from splitopt.simulation.graph_partition import MOST_PASSES
from splitopt.training.program import ClientPlan, Party, Program, make_program

HOST = "host"
"""The name of the one client: it has the data, and the machines read them in no time."""


def program(opened: OpenedPlan, plan_digest: str, source: str) -> Program:
    """Return what a plan asks: steps over micro-batches, each passed on from machine to machine.

    Raises
    ------
    InputError
        A round has more passes than are replayed, so that it has no time.
    """
    problem, decision = opened.problem, opened.decision
    assert isinstance(problem, GraphPartition)
    assert isinstance(decision, GraphPartitionDecision)
    section = accelerators_of(opened.scenario)
    used, stations = stations_of(problem, decision.device)
    count = section.micro_batches
    if 2 * stations.places * count > MOST_PASSES:
        raise InputError(
            f"{source}: a round of {count:,} micro-batches on {stations.places} machines is too "
            f"long to be replayed, which gives it its time; plan with accelerators.micro_batches "
            f"of {MOST_PASSES // (2 * stations.places):,} at most"
        )
    names = section.names()
    client = ClientPlan(HOST, (), section.batch_size * count, section.batch_size)
    return make_program(
        opened,
        "graph",
        plan_digest,
        clients=(client,),
        local_steps=count,
        holders=tuple(Party(names[machine], "node") for machine in used.tolist()),
        all_data=True,
    )
