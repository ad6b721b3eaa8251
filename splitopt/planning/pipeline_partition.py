"""What a plan of `PipelinePartition` promises, what limits it, and what more would be worth."""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.latency.pipeline import (
    Hops,
    OwnerParts,
    Stages,
    paper_period,
    pipeline_load,
    rent,
    training_time,
    trips,
)
from splitopt.planning.fields import leakage_fields, model_fields, rate_fields
from splitopt.planning.pipeline_worth import worth
from splitopt.planning.pipelines.owners import owner_parts
from splitopt.planning.pipelines.round_cuts import choose_round_cuts
from splitopt.problems.pipeline_partition import PipelinePartition, PipelinePartitionDecision
from splitopt.problems.pipeline_partition.load import Load
from splitopt.problems.pipeline_partition.reasons import nodes_needed
from splitopt.problems.pipeline_partition.tables import (
    Cuts,
    batch_size,
    batches_of,
    stated_cuts,
)
from splitopt.profiles import ModelProfile
from splitopt.profiles.memory import FORMULAS
from splitopt.scenario import Scenario
from splitopt.scenario.nodes import AUTO
from splitopt.units import readable_bytes


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
) -> dict[str, Any]:
    """Say what the decision leads to, as plain data in s, byte and fractions.

    ``nodes`` has a row per node in the order of the chain: its layers, seconds per batch, what part
    of the time it is busy in a full pipeline, and its memory; ``idle`` names the nodes that host
    nothing. ``hops`` are the transfers between neighbours. ``period_s`` is the steady time from
    one batch to the next, ``latency_s`` the trip of one batch through the nodes, ``trip_s`` the
    mean trip with the owners' own parts, ``round_s`` all batches of a round in closed form,
    ``training_s`` all rounds. ``load`` is how many times over the owners could fill the pipeline:
    below 1 they are the limit, not the nodes. ``binding`` is the resource that sets the period.
    """
    cuts, load = stated_cuts(scenario, profile), problem.load(decision)
    names = [node.name for node in scenario.node_list()]
    stages = Stages(load.forward_s, load.backward_s)
    hops = Hops(load.up_s, load.down_s, load.delay_s / 2, load.delay_s / 2)
    batches = np.array([batches_of(scenario, g) for g in range(len(scenario.devices))])
    owner = np.repeat(np.arange(len(scenario.devices)), [d.count for d in scenario.devices])
    parts = owner_parts(problem, scenario, profile, cuts)
    trip = trips(stages, OwnerParts(*(field[owner] for field in parts)), hops)
    seconds = float(training_time(trip, load.period_s, batches[owner]))
    idle = [name for n, name in enumerate(names) if n not in load.nodes]
    return {
        "objective_unit": "s",
        "first_cut": cuts.first,
        "last_cut": cuts.last,
        "owner_layers": [*profile.layers[: cuts.first], *profile.layers[cuts.last :]],
        "batch_size": batch_size(scenario),
        "owners": problem.owners,
        "batches": int(batches[owner].sum()),
        "nodes": _node_rows(problem, load, names, scenario, profile, cuts),
        "idle": idle,
        "hops": _hop_rows(load, names, profile, cuts),
        "period_s": load.period_s,
        "paper_period_s": float(paper_period(stages)),
        "latency_s": load.latency_s,
        "trip_s": float(trip.mean()),
        "load": float(pipeline_load(trip, load.period_s)),
        "round_s": seconds,
        "training_s": seconds * scenario.training.rounds,
        **_cost(scenario, load, seconds),
        "binding": _binding(problem, decision, names),
        "worth": worth(problem, decision, scenario, profile),
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
                "busy": float(load.node_s[m] / load.period_s) if load.period_s > 0 else 0.0,
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
    devices = ("count", "samples", "batch_size", "compute", "machine", "memory")
    nodes = ("count", "compute", "machine", "slowdown", "memory")
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
