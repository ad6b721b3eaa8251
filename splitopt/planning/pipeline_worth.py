"""What relieving a resource of a pipeline is worth: the question asked of another scenario."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from splitopt.driver import solve
from splitopt.problems.pipeline_partition import PipelinePartition, PipelinePartitionDecision
from splitopt.profiles import ModelProfile
from splitopt.scenario import Node, Scenario

STEP = 1.1
"""How much more of a resource is tried."""
MOST_NODES, MOST_LAYERS, MOST_GROUPS = 10, 200, 6
"""Larger questions are left alone: a plan should not take much longer than its solution."""


def worth(
    problem: PipelinePartition,
    decision: PipelinePartitionDecision,
    scenario: Scenario,
    profile: ModelProfile,
) -> list[dict[str, Any]]:
    """Plan anew with a little more of each resource, and say what that saves of the objective.

    Returns
    -------
    A row per resource with ``resource``, ``change``, the new ``objective`` and what it ``saves`` in
    s; only changes whose new optimum is proved. Empty for large problems.
    """
    if problem.nodes > MOST_NODES or problem.layers > MOST_LAYERS:
        return []
    now = problem.evaluate(decision)
    rows = []
    for resource, change, other in _changes(scenario):
        question = PipelinePartition.from_scenario(other, profile, problem.objective)
        result = solve(question)
        if result.outcome == "optimal":
            rows.append(
                {
                    "resource": resource,
                    "change": change,
                    "objective": result.objective,
                    "saves": max(0.0, now - result.objective),
                }
            )
    return rows


def _changes(scenario: Scenario) -> Iterator[tuple[str, str, Scenario]]:
    """Give the resource, what is done to it, and the scenario in which that is done."""
    if len(scenario.nodes) > MOST_GROUPS:
        return
    for index, node in enumerate(scenario.nodes):
        label = node.name if node.count == 1 else f"{node.name} (all {node.count})"
        yield label, "10 % faster", _with_node(scenario, index, _faster(node))
    links = scenario.links.nodes
    if links is not None and links.model != "none":
        yield "links between nodes", "10 % more rate", _with_faster_links(scenario)
    for index, node in enumerate(scenario.nodes):
        more = node.model_copy(update={"count": node.count + 1})
        yield node.name, "one more node", _with_node(scenario, index, more)


def _faster(node: Node) -> Node:
    if node.compute is not None:
        return node.model_copy(update={"compute": STEP * node.compute})
    return node.model_copy(update={"slowdown": (node.slowdown or 1.0) / STEP})


def _with_node(scenario: Scenario, index: int, node: Node) -> Scenario:
    nodes = (*scenario.nodes[:index], node, *scenario.nodes[index + 1 :])
    return scenario.model_copy(update={"nodes": nodes})


def _with_faster_links(scenario: Scenario) -> Scenario:
    links = scenario.links.nodes
    assert links is not None  # the caller saw to it
    rates = links.rates and tuple(
        tuple(rate and STEP * rate for rate in row) for row in links.rates
    )
    faster = links.model_copy(update={"rate": links.rate and STEP * links.rate, "rates": rates})
    nodes = tuple(
        node.model_copy(update={"rate": node.rate and STEP * node.rate}) for node in scenario.nodes
    )
    shared = scenario.links.model_copy(update={"nodes": faster})
    return scenario.model_copy(update={"links": shared, "nodes": nodes})
