"""Plans of `PipelinePartition`: the owners' first and last part, and the nodes' runs between.

With one node this is U-shaped split learning, with several MP-SL; a round is the same.
"""

from __future__ import annotations

from splitopt.errors import InputError
from splitopt.planning.planner import OpenedPlan
from splitopt.problems.pipeline_partition import PipelinePartitionDecision
from splitopt.problems.pipeline_partition.tables import stated_cuts
from splitopt.training.program import Party, Program, client_plans, make_program


def program(opened: OpenedPlan, plan_digest: str, source: str) -> Program:
    """Return what a plan asks: batches of the owners through a chain of nodes (MP-SL)."""
    decision, profile, scenario = opened.decision, opened.profile, opened.scenario
    assert isinstance(decision, PipelinePartitionDecision)
    first, last = stated_cuts(scenario, profile)
    if last == profile.layer_count:
        raise InputError(
            f"{source}: the plan leaves no layer behind pipeline.last_cut to the owners, who hold "
            f"the labels; plan with last_cut {last - 1} or earlier"
        )
    ends = [first + int(end) for end in decision.chain.boundaries]
    cuts = tuple(profile.layers[end - 1] for end in ends)
    nodes = scenario.node_list()
    return make_program(
        opened,
        "u_shaped" if len(decision.chain.nodes) == 1 else "multihop",
        plan_digest,
        clients=client_plans(scenario, [cuts] * len(scenario.fleet())),
        both_ends=True,
        holders=tuple(Party(nodes[n].name, "node") for n in decision.chain.nodes.tolist()),
    )
