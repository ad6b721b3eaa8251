"""MP-SL's baseline SplitNN (section 4.3): owners in turn train one model with one compute node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from splitopt.latency.pipeline import OwnerParts, Stages, rent
from splitopt.latency.split_nn import split_nn_time
from splitopt.planning.comparison.pipelines import owner_bytes, owner_energy, owner_work
from splitopt.planning.comparison.rows import SchemeRow, none
from splitopt.planning.pipelines.round_cuts import owner_pairs
from splitopt.problems.base import FloatArray
from splitopt.problems.limits import memory_words
from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.problems.pipeline_partition.tables import (
    Cuts,
    batch_size,
    check_owners,
    own_part_bytes,
    owner_memory,
    stated_cuts,
    tables_from_scenario,
)
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario
from splitopt.scenario.nodes import AUTO


class _Served(NamedTuple):
    """A pair of cuts and the node that serves all owners; the parts of the round add up to it."""

    round_s: float
    cuts: Cuts
    node: int
    part_s: dict[str, float]
    memory_bytes: float
    batches: int


def split_nn(scenario: Scenario, profile: ModelProfile) -> SchemeRow:
    """Return the row of SplitNN with the best node, and the best cuts where they are left open.

    A turn has all batches of the owner's round, local epochs included, as in the other schemes.
    The node holds the layers between the cuts for one owner. At the end of its turn an owner sends
    its parts over its uplink, and the next one receives them over its downlink; the first owner of
    the next round follows the last one. An owner without others keeps its parts.

    Raises
    ------
    InputError
        Something is missing that a pipeline needs.
    InfeasibleError
        No cuts are within the owners' limits.
    """
    if not scenario.nodes:
        return none("split_nn", "not_comparable", "needs the section 'nodes' with compute nodes")
    least, best = np.inf, None
    for cuts in _cuts(scenario, profile):
        problem = PipelinePartition(
            **tables_from_scenario(scenario, profile, cuts), objective="round"
        )
        need = float(problem.layer_memory_bytes.sum())
        least = min(least, need)
        for node in np.flatnonzero(_capacity(scenario) >= need):
            found = _served(problem, cuts, int(node), need)
            if best is None or found.round_s < best.round_s:
                best = found
    if best is None:
        reason = (
            f"the layers between the cuts need {memory_words(least)} for one owner, and the "
            f"largest node has {memory_words(float(_capacity(scenario).max()))}"
        )
        return none("split_nn", "infeasible", reason)
    return _row(scenario, profile, best)


def _cuts(scenario: Scenario, profile: ModelProfile) -> Iterator[Cuts]:
    """Give the pairs of cuts that the scenario allows; those that it states are checked by name."""
    if AUTO in (scenario.pipeline.first_cut, scenario.pipeline.last_cut):
        yield from owner_pairs(scenario, profile)
        return
    cuts = stated_cuts(scenario, profile)
    check_owners(scenario, profile, cuts)
    yield cuts


def _capacity(scenario: Scenario) -> FloatArray:
    """Shape (N,): memory of each node in bytes, infinite where none is stated."""
    sizes = [node.memory for node in scenario.node_list()]
    return np.array([np.inf if size is None else size for size in sizes])


def _served(problem: PipelinePartition, cuts: Cuts, node: int, need: float) -> _Served:
    """Compute the round of all owners in turn with one node."""
    owners = problem.owner_groups
    assert owners is not None  # a scenario has its devices
    stages = Stages(
        problem.forward_s[node].sum(keepdims=True), problem.backward_s[node].sum(keepdims=True)
    )
    # The time is a sum over owners, to which a group of alike ones adds as one with all batches.
    batches = owners.count * owners.batches
    moved = owners.upload_s + owners.download_s + 2 * owners.parts.latency_s
    hand_over = owners.count * moved if owners.owners > 1 else np.zeros(len(owners.count))
    parts = problem.own_parts(node, node)
    idle, nothing = Stages(np.zeros(1), np.zeros(1)), OwnerParts(0.0, 0.0, 0.0)
    alone: dict[str, tuple[Stages, OwnerParts, Any]] = {
        "node": (stages, nothing, 0.0),
        "owners": (idle, OwnerParts(*parts[:3]), 0.0),
        "links": (idle, parts._replace(**dict.fromkeys(OwnerParts._fields[:3], 0.0)), hand_over),
    }
    return _Served(
        float(split_nn_time(stages, parts, batches, hand_over)),
        cuts,
        node,
        {name: float(split_nn_time(a, b, batches, c)) for name, (a, b, c) in alone.items()},
        need,
        owners.all_batches,
    )


def _row(scenario: Scenario, profile: ModelProfile, best: _Served) -> SchemeRow:
    cuts, node = best.cuts, scenario.node_list()[best.node]
    names = {"node": node.name, "owners": "the owners", "links": "the owners' links"}
    longest = max(best.part_s, key=best.part_s.__getitem__)
    batch = {"batches": best.batches, "batch_size": batch_size(scenario)}
    traffic = owner_bytes(scenario, profile, batch, cuts)
    if sum(device.count for device in scenario.devices) == 1:
        traffic -= 2 * own_part_bytes(profile, cuts)  # nobody to hand them to
    price = node.price_per_hour
    return SchemeRow(
        scheme="split_nn",
        status="feasible",
        cut=f"{cuts.first} and {cuts.last}, on {node.name}",
        proved=True,
        gap=0.0,
        round_s=best.round_s,
        traffic_bytes=traffic,
        device_flop=owner_work(scenario, profile, cuts),
        device_memory_bytes=owner_memory(scenario, profile, cuts) or None,
        server_memory_bytes=best.memory_bytes or None,
        leakage=None if profile.leakage is None else float(profile.leakage[cuts.first - 1]),
        energy_j=owner_energy(scenario, profile, cuts),
        round_cost=None if price is None else float(rent(best.round_s, np.array([price]))),
        helps_most=names[longest],
        # Every second is on one chain of tasks, and 1 % more takes 1 % of a resource's seconds.
        saved_per_percent_s=best.part_s[longest] / 100,
    )
