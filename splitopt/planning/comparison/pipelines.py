"""MP-SL on a fleet: the best pipeline, whose round counts what the other schemes' rounds do."""

from __future__ import annotations

import numpy as np

from splitopt.latency.energy import device_energy
from splitopt.latency.layer_seconds import layer_seconds
from splitopt.planning.comparison.loads import work_per_sample
from splitopt.planning.comparison.rows import SchemeRow, none, unsolved
from splitopt.planning.planner import plan
from splitopt.planning.predictions.pipeline_partition import PipelinePartitionPrediction
from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.problems.pipeline_partition.tables import (
    Cuts,
    batch_size,
    batches_of,
    boundary_bytes,
    own_part_bytes,
    owner_memory,
    owner_transfers,
)
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario


def pipeline(
    scenario: Scenario, profile: ModelProfile, time_limit_s: float | None, seed: int
) -> SchemeRow:
    """MP-SL's best pipeline: the answer of `splitopt.plan`, whose round is in closed form.

    Raises
    ------
    InputError
        Something is missing that a pipeline needs.
    """
    if not scenario.nodes:
        return none("mp_sl", "not_comparable", "needs the section 'nodes' with compute nodes")
    planned = plan(
        scenario,
        problem=PipelinePartition.name,
        time_limit_s=time_limit_s,
        seed=seed,
    )
    if planned.decision is None or planned.prediction is None:
        return unsolved("mp_sl", planned.result)
    found = PipelinePartitionPrediction.from_dict(planned.prediction)
    cuts, binding = Cuts(found.first_cut, found.last_cut), found.binding
    if found.load < 1:
        limit = "the owners' own work and links"
    elif binding.kind == "channel":
        limit = f"the owners' shared {binding.name}"
    else:
        limit = f"{binding.kind} {binding.name or ' - '.join(binding.between or ())}"
    return SchemeRow(
        scheme="mp_sl",
        status="feasible",
        cut=f"{cuts.first} and {cuts.last}",
        proved=planned.result["outcome"] == "optimal",
        gap=planned.result["gap"],
        round_s=found.round_s,
        traffic_bytes=owner_bytes(scenario, profile, cuts, found.batches)
        + _between_nodes(profile, found),
        device_flop=owner_work(scenario, profile, cuts),
        device_memory_bytes=owner_memory(scenario, profile, cuts) or None,
        server_memory_bytes=sum(node.memory_bytes for node in found.nodes) or None,
        leakage=None if profile.leakage is None else float(profile.leakage[cuts.first - 1]),
        energy_j=owner_energy(scenario, profile, cuts),
        round_cost=found.round_cost,
        limit=limit,
    )


def owner_bytes(scenario: Scenario, profile: ModelProfile, cuts: Cuts, batches: int) -> float:
    """Bytes of a round of so many batches between owners and nodes, the owners' parts included.

    Every owner's parts go over a link twice: up, and down to it or to another owner.
    """
    up, down = boundary_bytes(profile, batch_size(scenario))
    crossing = float((up + down)[list(cuts)].sum())
    owners = sum(device.count for device in scenario.devices)
    return float(batches * crossing + 2 * owners * own_part_bytes(profile, cuts))


def _between_nodes(profile: ModelProfile, found: PipelinePartitionPrediction) -> float:
    """Bytes of a round that go from node to node."""
    behind = found.first_cut + np.cumsum([node.layers for node in found.nodes])[:-1]
    up, down = boundary_bytes(profile, found.batch_size)
    return float(found.batches * (up + down)[behind].sum())


def owner_work(scenario: Scenario, profile: ModelProfile, cuts: Cuts) -> float | None:
    """FLOP of the owner with most batches: its first and its last part; None if not counted."""
    if (work := work_per_sample(profile)) is None:
        return None
    own = work[cuts.first - 1] + work[-1] - work[cuts.last - 1]
    most = max(scenario.training.epochs * device.samples for device in scenario.devices)
    return float(most * own)


def owner_energy(scenario: Scenario, profile: ModelProfile, cuts: Cuts) -> float | None:
    """Joule of all owners: computing their own parts, and sending over the first and last cut."""
    compute = [device.compute_power for device in scenario.devices]
    radio = [scenario.link(device, "uplink").transmit_power for device in scenario.devices]
    if None in compute or None in radio:
        return None
    own = np.ones(profile.layer_count, dtype=np.bool_)
    own[cuts.first : cuts.last] = False
    total = 0.0
    sent = owner_transfers(scenario, profile, cuts)[0].sum(axis=1)
    for g, device in enumerate(scenario.devices):
        seconds = layer_seconds(profile, device.speed, needed=own)
        computing = float((seconds.forward + seconds.backward)[own].sum()) * (
            device.batch_size or 0
        )
        powers = compute[g] or 0.0, radio[g] or 0.0
        batch = device_energy(powers[0], computing, powers[1], float(sent[g]))
        total += device.count * batches_of(scenario, g) * batch
    return total
