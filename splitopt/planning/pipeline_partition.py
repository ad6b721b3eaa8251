"""What a plan of `PipelinePartition` promises, and what limits it."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

import numpy as np

from splitopt.latency.pipeline import rent
from splitopt.planning.explaining import Explainer
from splitopt.planning.fields import leakage_fields, model_fields, rate_fields
from splitopt.planning.guesses import fill_notes
from splitopt.planning.pipeline_worth import forced_nodes, worth
from splitopt.planning.pipelines.round_cuts import with_round_cuts
from splitopt.planning.predictions.pipeline_partition import (
    Binding,
    Hop,
    NodeShare,
    PipelinePartitionPrediction,
    Searched,
)
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
from splitopt.simulation.pipeline import run_pipeline
from splitopt.simulation.pipeline_partition import system_of
from splitopt.simulation.route import pipeline_route
from splitopt.units import readable_bytes

_SPEED = ("compute", "machine", "machine_model")
MOST_TASKS = 300_000
"""Longer rounds are not simulated along with a plan."""


class PipelinePartitionExplainer(
    Explainer[PipelinePartition, PipelinePartitionDecision, PipelinePartitionPrediction]
):
    """Explains plans of `PipelinePartition`."""

    problem = "pipeline_partition"
    section = "nodes"
    machines = ("devices", "nodes")
    counts_messages = False
    searches = Searched

    def prepare(self) -> tuple[Self, list[str]]:
        """Choose the owners' cuts, where the scenario leaves them open.

        Raises
        ------
        InfeasibleError
            No choice of cuts is within the owners' limits, or none has a pipeline.
        """
        scenario, notes = with_round_cuts(self.scenario, self.profile, self.objective)
        return replace(self, scenario=scenario), notes

    def predict(
        self, problem: PipelinePartition, decision: PipelinePartitionDecision
    ) -> PipelinePartitionPrediction:
        """Compute the seconds by node and transfer, and of a round in closed form and simulated."""
        scenario, profile = self.scenario, self.profile
        cuts, load = stated_cuts(scenario, profile), problem.load(decision)
        names = [node.name for node in scenario.node_list()]
        owners = problem.owner_groups
        assert owners is not None  # a scenario has its devices
        own = problem.own_s(int(load.nodes[0]), int(load.nodes[-1]))
        seconds = problem.round_time(load)
        cost = _cost(scenario, load, seconds)
        return PipelinePartitionPrediction(
            objective_unit="s",
            first_cut=cuts.first,
            last_cut=cuts.last,
            owner_layers=[*profile.layers[: cuts.first], *profile.layers[cuts.last :]],
            batch_size=batch_size(scenario),
            owners=problem.owners,
            batches=owners.all_batches,
            nodes=_node_rows(problem, load, scenario, profile, cuts),
            idle=[name for n, name in enumerate(names) if n not in load.nodes],
            hops=_hop_rows(load, names, profile, cuts),
            period_s=float(owners.period_s(load.period_s)),
            paper_period_s=load.paper_s,
            latency_s=load.latency_s,
            trip_s=load.chain_s + float(np.average(own, weights=owners.count)),
            load=owners.load(own, load.chain_s, load.period_s),
            channels=owners.channel_s,
            aggregation_s=owners.aggregation_s,
            round_s=seconds,
            simulated_s=_simulated(problem, decision),
            training_s=seconds * scenario.training.rounds,
            round_cost=cost,
            training_cost=None if cost is None else cost * scenario.training.rounds,
            binding=_binding(problem, decision, names),
            forced=None,
            worth=[],
        )

    def search(self, problem: PipelinePartition, decision: PipelinePartitionDecision) -> Searched:
        """Solve the problem for idle nodes, and for a little more of each resource."""
        names = [node.name for node in self.scenario.node_list()]
        return Searched(
            forced=forced_nodes(problem, decision, names),
            worth=worth(problem, decision, self.scenario, self.profile),
        )

    def explain_infeasible(self, problem: PipelinePartition) -> str | None:
        """Name the layer that fits nowhere, or how many nodes would do."""
        scenario, profile = self.scenario, self.profile
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
                f"owners at batch size {batch_size(scenario)} it needs "
                f"{readable_bytes(need[worst])} ({words}) and the largest node has "
                f"{readable_bytes(largest)}; a node with that much{fewer}, or smaller batches "
                "would do"
            )
        total = float(need.sum())
        there = float(problem.node_memory_bytes.sum())
        if total > float(problem.capacity_bytes.sum()):
            return (
                f"the layers between the cuts need {readable_bytes(total)} ({words}) and all nodes "
                f"together have {readable_bytes(there)}, {readable_bytes(total - there)} too "
                f"little; {nodes_needed(problem, largest)} nodes with {readable_bytes(largest)} "
                "would do"
            )
        return None

    def notes(self) -> list[str]:
        """Return notes about filled counts, transfers that cost nothing, and memory."""
        scenario, profile = self.scenario, self.profile
        found = fill_notes(profile, (*scenario.devices, *scenario.nodes))
        links = scenario.links.nodes
        if len(scenario.node_list()) > 1 and (links is None or links.model == "none"):
            found.append(
                "transfers between nodes cost nothing here; state links.nodes, because on real "
                "links they often decide"
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

    def used(self) -> set[str]:
        """Name the fields that a plan follows from."""
        scenario, profile = self.scenario, self.profile
        devices = ("count", "samples", "batch_size", "memory", *_SPEED)
        nodes = ("count", "slowdown", "memory", *_SPEED)
        links = scenario.links.nodes
        found = {
            *model_fields(scenario, profile),
            "training.epochs",
            "training.rounds",
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


EXPLAINER = PipelinePartitionExplainer


def _simulated(problem: PipelinePartition, decision: PipelinePartitionDecision) -> float | None:
    """Return the round event by event in s, None where there are more than `MOST_TASKS`."""
    system = system_of(problem, decision)
    if int(system.batches_per_owner.sum()) * len(pipeline_route(system).phase) > MOST_TASKS:
        return None
    return run_pipeline(system).makespan_s


def _node_rows(
    problem: PipelinePartition, load: Load, scenario: Scenario, profile: ModelProfile, cuts: Cuts
) -> list[NodeShare]:
    machines = scenario.node_list()
    assert problem.owner_groups is not None  # a scenario has its devices
    period_s = float(problem.owner_groups.period_s(load.period_s))
    rows = []
    for m, n in enumerate(load.nodes.tolist()):
        start, end = (int(c) for c in load.boundaries[m : m + 2])
        rows.append(
            NodeShare(
                name=machines[n].name,
                layers=end - start,
                first_layer=profile.layers[cuts.first + start],
                last_layer=profile.layers[cuts.first + end - 1],
                forward_s=float(load.forward_s[m]),
                backward_s=float(load.backward_s[m]),
                busy=float(load.node_s[m] / period_s) if period_s > 0 else 0.0,
                memory_bytes=problem.owners * float(problem.layer_memory_bytes[start:end].sum()),
                memory_limit_bytes=machines[n].memory,
            )
        )
    return rows


def _hop_rows(load: Load, names: list[str], profile: ModelProfile, cuts: Cuts) -> list[Hop]:
    return [
        Hop(
            between=[names[n] for n in load.nodes[m : m + 2].tolist()],
            behind_layer=profile.layers[cuts.first + int(load.boundaries[m + 1]) - 1],
            up_s=float(load.up_s[m]),
            down_s=float(load.down_s[m]),
        )
        for m in range(len(load.up_s))
    ]


def _cost(scenario: Scenario, load: Load, seconds: float) -> float | None:
    """Return the rent of a round of the nodes that host something, None if one has no price."""
    nodes = scenario.node_list()
    prices = [nodes[n].price_per_hour for n in load.nodes.tolist()]
    if any(price is None for price in prices):
        return None
    return float(rent(seconds, np.array(prices, dtype=np.float64)))


def _binding(
    problem: PipelinePartition, decision: PipelinePartitionDecision, names: list[str]
) -> Binding:
    """Name the binding resource in the scenario's words."""
    found = problem.binding(decision)
    kind, busy_s = found["kind"], found["busy_s"]
    if kind == "channel":
        return Binding(kind=kind, name=found["name"], busy_s=busy_s)
    if kind == "link":
        return Binding(kind=kind, between=[names[n] for n in found["between"]], busy_s=busy_s)
    return Binding(kind=kind, name=names[found["index"]], busy_s=busy_s)
