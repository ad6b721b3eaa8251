"""A global epoch of `PipelinePartition` event by event."""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.latency.pipeline import PHASES, Hops, OwnerParts, Stages
from splitopt.problems.pipeline_partition import (
    OwnerGroups,
    PipelinePartition,
    PipelinePartitionDecision,
)
from splitopt.scenario import Scenario
from splitopt.simulation.pipeline import run_pipeline
from splitopt.simulation.replay import Forecast, Replay, Setting
from splitopt.simulation.system import Aggregation, PipelineSystem, Ports

BATCHES = 16
"""Batches of an owner where nothing says how many there are."""


def replay(
    problem: PipelinePartition, decision: PipelinePartitionDecision, setting: Setting
) -> Replay:
    """Simulate a global epoch: all batches of all owners, and the aggregation.

    Where the problem says nothing of owners, they compute nothing themselves, each has its part of
    the problem's ``batches``, or `BATCHES`, and nothing is aggregated.
    """
    system = system_of(problem, decision, setting.scenario)
    timeline = run_pipeline(system, noise=setting.noise, seed=setting.seed)
    batches = timeline.select(timeline.phase < len(PHASES))
    kind = "pipeline is full" if system.load >= 1 else "owners' own trips are the limit"
    return Replay(
        timeline=timeline,
        span="a global epoch" + ("" if system.aggregation else ", without aggregation"),
        forecasts=(
            Forecast("closed form, links included", system.closed_form_s),
            Forecast("closed form, nodes alone", system.nodes_only_s),
            Forecast("MP-SL Eq. 5" if system.aggregation else "MP-SL Eq. 4", system.paper_s),
        ),
        binding=_binding(system),
        facts=(
            ("Load", f"{system.load:.3g} ({kind})"),
            ("Period of a full pipeline", f"{system.period_s:.5g} s per batch"),
            ("Simulated pace", f"{batches.pace_s():.5g} s per batch"),
            ("Trip of a batch", f"{system.trips_s.min():.5g} to {system.trips_s.max():.5g} s"),
            (
                "Aggregation",
                f"{timeline.makespan_s - batches.makespan_s:.5g} s after the last batch (closed "
                f"form {system.aggregation_s:.5g})",
            ),
            (
                "Batches",
                f"{int(system.batches_per_owner.sum())} of {len(system.owner_names)} owners",
            ),
        ),
    )


def _binding(system: PipelineSystem) -> str:
    """State whether the slowest owner or the busiest resource sets the time of the epoch."""
    alone = system.batches_per_owner * system.trips_s
    slowest = int(alone.argmax())
    if alone[slowest] >= system.closed_form_s - system.aggregation_s:
        trip, count = system.trips_s[slowest], system.batches_per_owner[slowest]
        return f"{system.owner_names[slowest]}, {count} trips of {trip:.4g} s"
    return f"{system.binding}, {system.busy_s[system.binding]:.4g} s per batch"


def system_of(
    problem: PipelinePartition,
    decision: PipelinePartitionDecision,
    scenario: Scenario | None = None,
) -> PipelineSystem:
    """Return the pipeline that a decision makes, as the simulator takes it.

    A scenario gives nodes and owners their names; all numbers are the problem's.
    """
    load = problem.load(decision)
    links, nodes = problem.links, load.nodes
    ends = load.boundaries
    hops = ports = None
    if not links.costs_nothing:
        left, right = nodes[:-1], nodes[1:]
        hops = Hops(
            load.up_s, load.down_s, links.delays_s[left, right], links.delays_s[right, left]
        )
    if links.has_interfaces and links.interface_rates is not None:
        ports = Ports(
            problem.cut_up_bytes[ends],
            problem.cut_down_bytes[ends],
            links.interface_rates[nodes],
            blocks_compute=links.model == "serial",
        )
    names = [f"node {index}" for index in range(problem.nodes)]
    owner_names: list[str] = []
    if scenario is not None:
        names = [node.name for node in scenario.node_list()]
        owner_names = [name for device in scenario.devices for name in device.names()]
    groups = problem.owner_groups
    return PipelineSystem(
        Stages(load.forward_s, load.backward_s),
        hops=hops,
        ports=ports,
        duplex=links.duplex,
        node_names=tuple(names[index] for index in nodes),
        owner_names=tuple(owner_names),
        **(_owners_of_links(problem) if groups is None else _stated_owners(groups)),
    )


def _owners_of_links(problem: PipelinePartition) -> dict[str, Any]:
    """Return owners of which the problem knows the links alone, and their batches."""
    total = BATCHES * problem.owners if problem.batches is None else problem.batches
    batches = np.full(problem.owners, total // problem.owners)
    batches[: total % problem.owners] += 1
    return {"owners": problem.transfer_parts, "batches_per_owner": batches}


def _stated_owners(groups: OwnerGroups) -> dict[str, Any]:
    """Return every single owner of the groups."""
    member = groups.member
    parts = OwnerParts(
        *(np.asarray(field)[member] if np.ndim(field) else field for field in groups.parts)
    )
    aggregation = None
    if groups.aggregates:
        aggregation = Aggregation(
            groups.upload_s[member], groups.download_s[member], groups.aggregate_s
        )
    return {
        "owners": parts,
        "batches_per_owner": groups.batches[member],
        "shared": groups.shared,
        "aggregation": aggregation,
    }
