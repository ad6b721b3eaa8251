"""What a plan of `PipelinePartition` promises, what limits it, and what more would be worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from splitopt.documents.schemas import Document, Name
from splitopt.driver import solve
from splitopt.latency.pipeline import rent
from splitopt.planning.fields import leakage_fields, model_fields, rate_fields
from splitopt.planning.pipeline_worth import MOST_NODES, worth
from splitopt.planning.pipelines.round_cuts import choose_round_cuts
from splitopt.problems.pipeline_partition import PipelinePartition, PipelinePartitionDecision
from splitopt.problems.pipeline_partition.load import Load
from splitopt.problems.pipeline_partition.reasons import nodes_needed
from splitopt.problems.pipeline_partition.tables import (
    Cuts,
    batch_size,
    stated_cuts,
)
from splitopt.profiles import ModelProfile
from splitopt.profiles.counting.memory import FORMULAS
from splitopt.scenario import Scenario
from splitopt.scenario.nodes import AUTO
from splitopt.simulation.pipeline import run_pipeline
from splitopt.simulation.pipeline_partition import system_of
from splitopt.simulation.route import pipeline_route
from splitopt.units import readable_bytes

MOST_TASKS = 300_000
"""Longer rounds are not simulated along with a plan."""
FORCED = 1.2
"""How many times the objective of a plan with idle nodes is worth a note."""


class ForcedDocument(Document):
    """The objective with idle nodes, the present one, and the nodes that would be idle."""

    objective: float
    now: float
    idle: list[Name]


class WorthDocument(Document):
    """A row of `splitopt.planning.pipeline_worth.worth`."""

    resource: Name
    change: Name
    objective: float
    saves: float


class Searched(Document):
    """The parts of a prediction that only further searches find: read, and not found again."""

    forced: ForcedDocument | None
    worth: list[WorthDocument]


SEARCHED = Searched


def prepare(
    scenario: Scenario, profile: ModelProfile, objective: str
) -> tuple[Scenario, list[str]]:
    """Return the scenario with its cuts chosen, and notes.

    Raises
    ------
    InfeasibleError
        No choice of cuts is within the owners' limits, or none has a pipeline.
    """
    pipeline = scenario.pipeline
    if not scenario.nodes or AUTO not in (pipeline.first_cut, pipeline.last_cut):
        return scenario, []  # the problem itself checks stated cuts against the owners' limits
    found = choose_round_cuts(scenario, profile, objective)
    chosen = pipeline.model_copy(
        update={"first_cut": found.cuts.first, "last_cut": found.cuts.last}
    )
    note = (
        f"first and last cut were chosen for the shortest round among {found.pairs:,} pairs that "
        f"the owners can hold; {found.solved:,} had to be solved"
    )
    return scenario.model_copy(update={"pipeline": chosen}), [note]


def predict(
    problem: PipelinePartition,
    decision: PipelinePartitionDecision,
    scenario: Scenario,
    profile: ModelProfile,
    known: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Say what the decision leads to, as plain data in s, byte and fractions.

    ``nodes`` has a row per node in the order of the chain: its layers, seconds per batch, what part
    of the time it is busy in a full pipeline, and its memory; ``idle`` names the nodes that host
    nothing. ``hops`` are the transfers between neighbours. ``period_s`` is the steady time from
    one batch to the next, ``latency_s`` the trip of one batch through the nodes, ``trip_s`` the
    mean trip with the owners' own parts, ``round_s`` a round in closed form, of which
    ``aggregation_s`` is the aggregation at its end, ``simulated_s`` the same round event by event
    (None where that would take long), ``training_s`` all rounds. ``load`` is how many times over
    the owners could fill the pipeline: below 1 they are the limit, not the nodes. ``binding`` is
    the resource that sets the period, ``forced`` what the plan saves if nodes may stay idle, where
    all must host something and that costs much. ``forced`` and ``worth`` take further searches;
    `known` has them where they need not be found again.
    """
    cuts, load = stated_cuts(scenario, profile), problem.load(decision)
    names = [node.name for node in scenario.node_list()]
    owners = problem.owner_groups
    assert owners is not None  # a scenario has its devices
    own = problem.own_s(int(load.nodes[0]), int(load.nodes[-1]))
    period_s = float(owners.period_s(load.period_s))
    seconds = problem.round_time(load)
    return {
        "objective_unit": "s",
        "first_cut": cuts.first,
        "last_cut": cuts.last,
        "owner_layers": [*profile.layers[: cuts.first], *profile.layers[cuts.last :]],
        "batch_size": batch_size(scenario),
        "owners": problem.owners,
        "batches": owners.all_batches,
        "nodes": _node_rows(problem, load, names, scenario, profile, cuts),
        "idle": [name for n, name in enumerate(names) if n not in load.nodes],
        "hops": _hop_rows(load, names, profile, cuts),
        "period_s": period_s,
        "paper_period_s": load.paper_s,
        "latency_s": load.latency_s,
        "trip_s": load.chain_s + float(np.average(own, weights=owners.count)),
        "load": owners.load(own, load.chain_s, load.period_s),
        "channels": owners.channel_s,
        "aggregation_s": owners.aggregation_s,
        "round_s": seconds,
        "simulated_s": _simulated(problem, decision),
        "training_s": seconds * scenario.training.rounds,
        **_cost(scenario, load, seconds),
        "binding": _binding(problem, decision, names),
        "forced": known["forced"] if known else _forced(problem, decision, names),
        "worth": known["worth"] if known else worth(problem, decision, scenario, profile),
    }


def _simulated(problem: PipelinePartition, decision: PipelinePartitionDecision) -> float | None:
    """Return the round event by event in s, None where there are more than `MOST_TASKS`."""
    system = system_of(problem, decision)
    if int(system.batches_per_owner.sum()) * len(pipeline_route(system).phase) > MOST_TASKS:
        return None
    return run_pipeline(system).makespan_s


def _forced(
    problem: PipelinePartition, decision: PipelinePartitionDecision, names: list[str]
) -> dict[str, Any] | None:
    """Return the plan with nodes that may idle, where forcing them costs more than `FORCED`."""
    chain = decision.chain.nodes
    if not problem.use_all_nodes or len(chain) < 2 or len(chain) > MOST_NODES:
        return None
    result = solve(replace(problem, use_all_nodes=False), time_limit_s=10.0)
    forced, free = problem.evaluate(decision), result.decision
    if not isinstance(free, PipelinePartitionDecision) or forced <= FORCED * result.objective:
        return None
    used = set(free.chain.nodes.tolist())
    return {
        "objective": result.objective,
        "now": forced,
        "idle": [name for n, name in enumerate(names) if n not in used],
    }


def _node_rows(
    problem: PipelinePartition,
    load: Load,
    names: list[str],
    scenario: Scenario,
    profile: ModelProfile,
    cuts: Cuts,
) -> list[dict[str, Any]]:
    limits = [node.memory for node in scenario.node_list()]
    assert problem.owner_groups is not None  # a scenario has its devices
    period_s = float(problem.owner_groups.period_s(load.period_s))
    rows = []
    for m, n in enumerate(load.nodes.tolist()):
        start, end = (int(c) for c in load.boundaries[m : m + 2])
        rows.append(
            {
                "name": names[n],
                "layers": end - start,
                "first_layer": profile.layers[cuts.first + start],
                "last_layer": profile.layers[cuts.first + end - 1],
                "forward_s": float(load.forward_s[m]),
                "backward_s": float(load.backward_s[m]),
                "busy": float(load.node_s[m] / period_s) if period_s > 0 else 0.0,
                "memory_bytes": problem.owners * float(problem.layer_memory_bytes[start:end].sum()),
                "memory_limit_bytes": limits[n],
            }
        )
    return rows


def _hop_rows(
    load: Load, names: list[str], profile: ModelProfile, cuts: Cuts
) -> list[dict[str, Any]]:
    return [
        {
            "between": [names[n] for n in load.nodes[m : m + 2].tolist()],
            "behind_layer": profile.layers[cuts.first + int(load.boundaries[m + 1]) - 1],
            "up_s": float(load.up_s[m]),
            "down_s": float(load.down_s[m]),
        }
        for m in range(len(load.up_s))
    ]


def _cost(scenario: Scenario, load: Load, seconds: float) -> dict[str, float]:
    """Give the rent of the nodes that host something, if each has a price."""
    nodes = scenario.node_list()
    prices = [nodes[n].price_per_hour for n in load.nodes.tolist()]
    if any(price is None for price in prices):
        return {}
    cost = float(rent(seconds, np.array(prices, dtype=np.float64)))
    return {"round_cost": cost, "training_cost": cost * scenario.training.rounds}


def _binding(
    problem: PipelinePartition, decision: PipelinePartitionDecision, names: list[str]
) -> dict[str, Any]:
    """Name the binding resource in the scenario's words."""
    found = problem.binding(decision)
    if found["kind"] == "channel":
        return found
    if found["kind"] == "link":
        return {
            "kind": "link",
            "between": [names[n] for n in found["between"]],
            "busy_s": found["busy_s"],
        }
    return {"kind": found["kind"], "name": names[found["index"]], "busy_s": found["busy_s"]}


def explain_infeasible(
    problem: PipelinePartition, scenario: Scenario, profile: ModelProfile
) -> str | None:
    """Name the layer that fits nowhere, or how many nodes would do; else the problem's words."""
    cuts = stated_cuts(scenario, profile)
    need = problem.owners * problem.layer_memory_bytes
    largest = float(problem.node_memory_bytes.max())
    words = FORMULAS[scenario.pipeline.memory].words
    worst = int(need.argmax())
    if need[worst] > problem.capacity_bytes.max():
        owners = int(problem.capacity_bytes.max() // problem.layer_memory_bytes[worst])
        fewer = f", at most {owners:,} owners" if owners else ""
        return (
            f"layer {profile.layers[cuts.first + worst]} fits no node: for {problem.owners:,} "
            f"owners at batch size {batch_size(scenario)} it needs {readable_bytes(need[worst])} "
            f"({words}) and the largest node has {readable_bytes(largest)}; a node with that much"
            f"{fewer}, or smaller batches would do"
        )
    total = float(need.sum())
    there = float(problem.node_memory_bytes.sum())
    if total > float(problem.capacity_bytes.sum()):
        return (
            f"the layers between the cuts need {readable_bytes(total)} ({words}) and all nodes "
            f"together have {readable_bytes(there)}, {readable_bytes(total - there)} too little; "
            f"{nodes_needed(problem, largest)} nodes with {readable_bytes(largest)} would do"
        )
    return None


def remarks(prediction: dict[str, Any]) -> list[str]:
    """List what a reader should know about this very plan."""
    forced = prediction["forced"]
    if forced is None:
        return []
    idle = ", ".join(forced["idle"])
    return [
        f"every node must host a layer (use_all_nodes: true), which costs "
        f"{forced['now']:.4g} s instead of {forced['objective']:.4g} s with {idle} idle; state "
        "pipeline.use_all_nodes: false"
    ]


def notes(scenario: Scenario, profile: ModelProfile) -> list[str]:
    """Say what a reader of the plan should know about its inputs."""
    used = {machine.machine for machine in (*scenario.devices, *scenario.nodes)}
    found = [fill for fill in profile.provenance.fills if fill.partition(":")[0] in used]
    links = scenario.links.nodes
    if links is None or links.model == "none":
        found.append(
            "transfers between nodes cost nothing here; state links.nodes, because on real links "
            "they often decide"
        )
    limited = [*scenario.nodes, *scenario.devices]
    if not any(machine.memory for machine in limited):
        found.append("no memory is limited: no node and no device states any")
    elif scenario.pipeline.memory == "outputs":
        found.append(
            "memory is counted as MP-SL does, parameters and outputs; training needs more, see "
            "pipeline.memory"
        )
    return found


def used(scenario: Scenario, profile: ModelProfile, objective: str, solver: str) -> set[str]:  # noqa: ARG001
    """Name the fields of a scenario that the plan follows from."""
    devices = ("count", "samples", "batch_size", "compute", "machine", "machine_model", "memory")
    nodes = ("count", "compute", "machine", "machine_model", "slowdown", "memory")
    links = scenario.links.nodes
    found = {
        *model_fields(scenario, profile),
        "training",
        "pipeline",
        "links.shared",
        "links.nodes",
        *(f"devices[].{name}" for name in devices),
        *(f"nodes[].{name}" for name in nodes),
        *rate_fields(scenario),
        *leakage_fields(scenario),
    }
    if links is not None and links.model in ("nic", "serial"):
        found.add("nodes[].rate")
    priced = all(node.price_per_hour is not None for node in scenario.nodes)
    if priced or not scenario.pipeline.use_all_nodes:  # who hosts something has a price, or may
        found.add("nodes[].price_per_hour")
    return found
