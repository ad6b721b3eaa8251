"""What relieving a resource of a pipeline is worth: the problem solved for another scenario."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from splitopt.driver import solve
from splitopt.planning.predictions.pipeline_partition import Forced, ResourceWorth
from splitopt.problems.pipeline_partition import PipelinePartition, PipelinePartitionDecision
from splitopt.profiles import ModelProfile
from splitopt.scenario import Node, Scenario

FORCED = 1.2
"""How many times the objective of a plan with idle nodes is worth a note."""
STEP = 1.1
"""How much more of a resource is tried."""
MOST_NODES, MOST_LAYERS, MOST_GROUPS = 10, 200, 6
"""Larger questions are left alone: a plan should not take much longer than its solution."""


def worth(
    problem: PipelinePartition,
    decision: PipelinePartitionDecision,
    scenario: Scenario,
    profile: ModelProfile,
) -> list[ResourceWorth]:
    """Plan anew with a little more of each resource, and return what that saves of the objective.

    Returns
    -------
    A row per resource with ``resource``, ``change``, the new ``objective`` and what it ``saves`` in
    s, below 0 where it makes the plan worse (one more node that must be used can); only changes
    whose new optimum is proved. Empty for large problems.
    """
    if problem.nodes > MOST_NODES or problem.layers > MOST_LAYERS:
        return []
    now = problem.evaluate(decision)
    rows = []
    changes = _changes(scenario)
    if problem.objective == "round":
        changes = itertools.chain(changes, _owner_changes(scenario))
    for resource, change, other in changes:
        result = solve(PipelinePartition.from_scenario(other, profile, problem.objective))
        if result.outcome == "optimal":
            rows.append(
                ResourceWorth(
                    resource=resource,
                    change=change,
                    objective=result.objective,
                    saves=now - result.objective,
                )
            )
    return rows


def forced_nodes(
    problem: PipelinePartition, decision: PipelinePartitionDecision, names: list[str]
) -> Forced | None:
    """Return what a plan with idle nodes gains, where forcing all to work costs over `FORCED`."""
    chain = decision.chain.nodes
    if not problem.use_all_nodes or len(chain) < 2 or len(chain) > MOST_NODES:
        return None
    result = solve(replace(problem, use_all_nodes=False), time_limit_s=10.0)
    forced, free = problem.evaluate(decision), result.decision
    if not isinstance(free, PipelinePartitionDecision) or forced <= FORCED * result.objective:
        return None
    used = set(free.chain.nodes.tolist())
    return Forced(
        objective=result.objective,
        now=forced,
        idle=[name for n, name in enumerate(names) if n not in used],
    )


def _changes(scenario: Scenario) -> Iterator[tuple[str, str, Scenario]]:
    """Yield the resource, what is done to it, and the scenario in which that is done."""
    if len(scenario.nodes) > MOST_GROUPS:
        return
    for index, node in enumerate(scenario.nodes):
        label = node.name if node.count == 1 else f"{node.name} (all {node.count})"
        yield label, "10 % faster", _with_node(scenario, index, _faster(node))
    links = scenario.links.nodes
    if links is not None and links.model != "none":
        yield "links between nodes", "10 % more rate", _with_faster_links(scenario)
    forced = scenario.pipeline.use_all_nodes
    one_more = "one more node, which must be used" if forced else "one more node"
    for index, node in enumerate(scenario.nodes):
        more = node.model_copy(update={"count": node.count + 1})
        yield node.name, one_more, _with_node(scenario, index, more)


def _owner_changes(scenario: Scenario) -> Iterator[tuple[str, str, Scenario]]:
    """Yield what can be done at the owners: their computing where it is stated, their links."""
    devices = scenario.devices
    if len(devices) <= MOST_GROUPS:
        for index, device in enumerate(devices):
            if device.compute is not None:
                quick = device.model_copy(update={"compute": STEP * device.compute})
                changed = (*devices[:index], quick, *devices[index + 1 :])
                label = device.name if device.count == 1 else f"{device.name} (all {device.count})"
                yield label, "10 % faster", scenario.model_copy(update={"devices": changed})
    ways: tuple[Literal["uplink", "downlink"], ...] = ("uplink", "downlink")
    for way in ways:
        if all(scenario.link(device, way).rate is not None for device in devices):
            label = f"the shared {way}" if scenario.links.shared else f"owners' {way}s"
            yield label, "10 % more rate", _with_faster_channel(scenario, way)


def _with_faster_channel(scenario: Scenario, way: Literal["uplink", "downlink"]) -> Scenario:
    devices = []
    for device in scenario.devices:
        link = scenario.link(device, way)
        assert link.rate is not None  # the caller saw to it
        faster = link.model_copy(update={"rate": STEP * link.rate})
        devices.append(device.model_copy(update={way: faster}))
    return scenario.model_copy(update={"devices": tuple(devices)})


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
