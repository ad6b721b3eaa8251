"""A global epoch of `PipelinePartition` event by event."""

from __future__ import annotations

import numpy as np

from splitopt.latency.pipeline import Hops, OwnerParts, Stages
from splitopt.problems.pipeline_partition import PipelinePartition, PipelinePartitionDecision
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario
from splitopt.simulation.pipeline import PipelineSystem, Ports, run_pipeline
from splitopt.simulation.replay import Forecast, Replay, Setting
from splitopt.timeline import IntArray

BATCHES = 16
"""Batches of an owner where nothing says how many there are."""


def replay(
    problem: PipelinePartition, decision: PipelinePartitionDecision, setting: Setting
) -> Replay:
    """Simulate a global epoch: all batches of all owners.

    Without a scenario, owners compute nothing themselves, and each has its part of the problem's
    ``batches``, or `BATCHES`.
    """
    system = system_of(problem, decision, setting.scenario, setting.profile)
    timeline = run_pipeline(system, noise=setting.noise, seed=setting.seed)
    kind = "pipeline is full" if system.load >= 1 else "owners' own trips are the limit"
    return Replay(
        timeline=timeline,
        span="a global epoch, without aggregation",
        forecasts=(
            Forecast("closed form, links included", system.closed_form_s),
            Forecast("closed form, nodes alone", system.nodes_only_s),
            Forecast("MP-SL Eq. 4", system.paper_s),
        ),
        binding=_binding(system),
        facts=(
            ("Load", f"{system.load:.3g} ({kind})"),
            ("Period of a full pipeline", f"{system.period_s:.5g} s per batch"),
            ("Simulated pace", f"{timeline.pace_s():.5g} s per batch"),
            ("Trip of a batch", f"{system.trips_s.min():.5g} to {system.trips_s.max():.5g} s"),
            (
                "Batches",
                f"{int(system.batches_per_owner.sum())} of {len(system.owner_names)} owners",
            ),
        ),
    )


def _binding(system: PipelineSystem) -> str:
    """Say whether the slowest owner or the busiest resource sets the time of the epoch."""
    alone = system.batches_per_owner * system.trips_s
    slowest = int(alone.argmax())
    if alone[slowest] >= system.closed_form_s:
        trip, count = system.trips_s[slowest], system.batches_per_owner[slowest]
        return f"{system.owner_names[slowest]}, {count} trips of {trip:.4g} s"
    return f"{system.binding}, {system.busy_s[system.binding]:.4g} s per batch"


def system_of(
    problem: PipelinePartition,
    decision: PipelinePartitionDecision,
    scenario: Scenario | None = None,
    profile: ModelProfile | None = None,
) -> PipelineSystem:
    """Give the pipeline that a decision makes, as the simulator takes it."""
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
    if scenario is not None and profile is not None:
        owners, batches, owner_names = _owners_of(scenario, profile)
        node_names = [node.name for node in scenario.node_list()]
    else:
        owners, batches = _plain_owners(problem)
        owner_names = ()
        node_names = [f"node {index}" for index in range(problem.nodes)]
    return PipelineSystem(
        Stages(load.forward_s, load.backward_s),
        owners,
        batches,
        hops,
        ports,
        links.duplex,
        tuple(node_names[index] for index in nodes),
        owner_names,
    )


def _plain_owners(problem: PipelinePartition) -> tuple[OwnerParts, IntArray]:
    """Give owners that compute nothing themselves, and their batches."""
    total = BATCHES * problem.owners if problem.batches is None else problem.batches
    batches = np.full(problem.owners, total // problem.owners)
    batches[: total % problem.owners] += 1
    rate, links = problem.links.owner_bandwidth_bytes_per_s, problem.links
    if rate is None:
        return OwnerParts(0.0, 0.0, 0.0), batches
    up, down = problem.cut_up_bytes / rate, problem.cut_down_bytes / rate
    owners = OwnerParts(
        first_forward_s=0.0,
        last_s=0.0,
        first_backward_s=0.0,
        to_first_s=up[0],
        from_last_s=up[-1],
        to_last_s=down[-1],
        from_first_s=down[0],
        latency_s=links.owner_delay_s,
    )
    return owners, batches


def _owners_of(
    scenario: Scenario, profile: ModelProfile
) -> tuple[OwnerParts, IntArray, tuple[str, ...]]:
    """Give what every owner of a scenario computes and sends, its batches, and its name."""
    from splitopt.latency.layer_seconds import layer_seconds
    from splitopt.problems.pipeline_partition.tables import (
        batch_size,
        batches_of,
        owner_transfers,
        stated_cuts,
    )

    cuts, size = stated_cuts(scenario, profile), batch_size(scenario)
    sent, received = owner_transfers(scenario, profile, cuts)
    rows = []
    for group, device in enumerate(scenario.devices):
        seconds = layer_seconds(profile, device.speed)
        forward, backward = size * seconds.forward, size * seconds.backward
        row = (
            forward[: cuts.first].sum(),
            forward[cuts.last :].sum() + backward[cuts.last :].sum(),
            backward[: cuts.first].sum(),
            sent[group, 0],
            received[group, 1],
            sent[group, 1],
            received[group, 0],
            batches_of(scenario, group),
        )
        rows += [row] * device.count
    table = np.array(rows)
    names = tuple(name for device in scenario.devices for name in device.names())
    return OwnerParts(*table[:, :7].T), table[:, 7].astype(np.int64), names
