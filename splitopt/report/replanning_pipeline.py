"""What the page of a pipeline needs to plan it anew while its sliders move.

The page's script (``assets/pipeline.js``) scales these numbers as the sliders say, and solves the
partition to its optimum by dynamic programming; see the page about plans of the documentation.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from splitopt.latency.pipeline import aggregation_time
from splitopt.planning.planner import OpenedPlan, open_plan
from splitopt.plans import Plan
from splitopt.problems.pipeline_partition import PipelinePartition, PipelinePartitionDecision
from splitopt.problems.pipeline_partition.owners import OwnerGroups
from splitopt.problems.pipeline_partition.restrict import alike_nodes

OBJECTIVES = ("round", "period")
MOST_STEPS = 3e7
"""Of the script for one pass: sets of nodes times nodes that end them and come next, times runs."""


def why_no_pipeline(plan: Plan, problem: PipelinePartition) -> str | None:
    """Return why a pipeline has no sliders, None where it has."""
    if plan.objective not in OBJECTIVES:
        return (
            f"It is for pipelines that are planned for the {' or the '.join(OBJECTIVES)}, and this "
            f"one is for the {plan.objective}."
        )
    if steps(problem) > MOST_STEPS:
        return (
            "It is for pipelines whose partitions a page can go through at once: up to about eight "
            "different nodes, or more alike ones, and a hundred layers."
        )
    return None


def steps(problem: PipelinePartition) -> float:
    """Return how many steps one pass of the script takes."""
    kinds = kinds_of(problem)
    counts = [kinds.count(kind) for kind in sorted(set(kinds))]
    sets = math.prod(count + 1 for count in counts)
    ends = len(counts) ** 2 if problem.links.has_interfaces else 1
    return ends * sets * len(counts) ** 2 * problem.layers**2 / 2


def kinds_of(problem: PipelinePartition) -> list[int]:
    """Return a kind for each node: alike ones have the same, in a free order alone."""
    if problem.order == "given" or problem.links.model == "pairwise":
        return list(range(problem.nodes))
    return alike_nodes(problem)


def pipeline_data(plan: Plan, opened: OpenedPlan | None = None) -> dict[str, Any] | str | None:
    """Return the data of a page that plans a pipeline anew, or why it does not in one sentence.

    None says nothing: there is no decision.
    """
    opened = open_plan(plan) if opened is None else opened
    problem, decision = opened.problem, opened.decision
    if not isinstance(problem, PipelinePartition):
        return None
    if not isinstance(decision, PipelinePartitionDecision):
        return None
    reason = why_no_pipeline(plan, problem)
    if reason is not None:
        return reason
    scenario, prediction = opened.scenario, opened.prediction
    first = int(prediction.first_cut)  # type: ignore[union-attr]
    names = list(opened.profile.layers)[first : first + problem.layers]
    links = problem.links
    entries = [place for place, node in enumerate(scenario.nodes) for _ in range(node.count)]
    return {
        "kind": "pipeline",
        "objective": plan.objective,
        "value": plan.result["objective"],
        "layers": names,
        "nodes": [node.name for node in scenario.node_list()],
        "entries": [{"name": node.name, "compute": node.compute} for node in scenario.nodes],
        "entry": entries,
        "kinds": kinds_of(problem),
        "forward": problem.forward_s.tolist(),
        "backward": problem.backward_s.tolist(),
        "memory": (problem.owners * problem.layer_memory_bytes).tolist(),
        "capacity": [
            None if math.isinf(size) else size for size in problem.capacity_bytes.tolist()
        ],
        "up": problem.cut_up_bytes.tolist(),
        "down": problem.cut_down_bytes.tolist(),
        "rates": None if links.model == "none" else _finite(links.rates),
        "interfaces": None if links.interface_rates is None else links.interface_rates.tolist(),
        "serial": links.model == "serial",
        "delays": links.delays_s.tolist(),
        "half": links.duplex == "half",
        "ordered": problem.order == "given",
        "all": problem.use_all_nodes,
        "assignment": decision.assignment.tolist(),
        "owners": _owners(problem.owner_groups) if plan.objective == "round" else None,
        "rate": 8 * float(links.bandwidth_bytes_per_s)  # type: ignore[arg-type]
        if links.model == "uniform"
        else None,
    }


def _finite(rates: Any) -> list[list[float]]:
    """Return rates between different nodes; those of a node to itself are 0 and never asked."""
    return np.where(np.isfinite(rates), rates, 0.0).tolist()  # type: ignore[no-any-return]


def _owners(groups: OwnerGroups | None) -> dict[str, Any]:
    """Return what the owners add to a batch, by what a slider scales, and to a round."""
    assert groups is not None  # the objective needs them
    parts, nothing = groups.parts, np.zeros(len(groups.count))
    ways = (groups.upload_s, nothing), (nothing, groups.download_s)
    up, down = (
        float(aggregation_time(u, 0.0, d, count=groups.count, latency_s=0.0, shared=groups.shared))
        for u, d in ways
    )
    return {
        "count": groups.count.tolist(),
        "batches": groups.batches.tolist(),
        "compute": np.broadcast_to(parts.compute_s, groups.count.shape).tolist(),
        **{
            name: np.broadcast_to(getattr(parts, f"{name}_s"), groups.count.shape).tolist()
            for name in ("to_first", "from_last", "to_last", "from_first")
        },
        "delay": 4 * float(parts.latency_s),
        "shared": groups.shared,
        "model_up": up,
        "model_down": down,
        "model_rest": groups.aggregation_s - up - down,
    }
