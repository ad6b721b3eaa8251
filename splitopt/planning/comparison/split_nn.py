"""MP-SL's baseline SplitNN (section 4.3): owners in turn train one model with one compute node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from splitopt.latency.pipeline import rent
from splitopt.planning.comparison.pipelines import owner_bytes, owner_energy, owner_work
from splitopt.planning.comparison.rows import SchemeRow, none
from splitopt.planning.pipelines.round_cuts import owner_pairs
from splitopt.problems.memory import memory_words
from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.problems.pipeline_partition.split_nn import SplitNNRound, split_nn_round
from splitopt.problems.pipeline_partition.tables import (
    Cuts,
    check_owners,
    owner_memory,
    stated_cuts,
    tables_from_scenario,
)
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario
from splitopt.scenario.nodes import AUTO

_ON_NODE = ("forward", "backward")
_ON_OWNERS = ("first part forward", "last part", "first part backward")


class _Served(NamedTuple):
    """A pair of cuts with the round on the node that serves all owners."""

    cuts: Cuts
    round: SplitNNRound
    memory_bytes: float
    batches: int


def split_nn(scenario: Scenario, profile: ModelProfile) -> SchemeRow:
    """Return the row of SplitNN with the best node, and the best cuts where they are left open.

    A turn has all batches of the owner's round, local epochs included, as in the other schemes.
    The node holds the layers between the cuts for one owner. At the end of its turn an owner sends
    its parts over its uplink, and the next one receives them over its downlink; the first owner of
    the next round follows the last one.

    Raises
    ------
    InputError
        Something is missing that a pipeline needs.
    InfeasibleError
        No cuts are within the owners' limits.
    """
    if not scenario.nodes:
        return none("split_nn", "not_comparable", "needs the section 'nodes' with compute nodes")
    least, most, best = np.inf, 0.0, None
    for cuts in _cuts(scenario, profile):
        problem = PipelinePartition(
            **tables_from_scenario(scenario, profile, cuts), objective="round"
        )
        need = float(problem.layer_memory_bytes.sum())
        least, most = min(least, need), float(problem.node_memory_bytes.max())
        found = split_nn_round(problem, range(problem.nodes))
        if found is not None and (best is None or found.seconds < best.round.seconds):
            assert problem.owner_groups is not None  # a scenario has its devices
            best = _Served(cuts, found, need, problem.owner_groups.all_batches)
    if best is None:
        reason = (
            f"the layers between the cuts need {memory_words(least)} for one owner, and the "
            f"largest node has {memory_words(most)}"
        )
        return none("split_nn", "infeasible", reason)
    return _row(scenario, profile, best)


def _cuts(scenario: Scenario, profile: ModelProfile) -> Iterator[Cuts]:
    """Yield the pairs of cuts that the scenario allows; those that it states are checked."""
    if AUTO in (scenario.pipeline.first_cut, scenario.pipeline.last_cut):
        yield from owner_pairs(scenario, profile)
        return
    cuts = stated_cuts(scenario, profile)
    check_owners(scenario, profile, cuts)
    yield cuts


def _by_resource(phases: Mapping[str, float]) -> dict[str, float]:
    """Add up the seconds of the node, of the owners and of their links."""
    node = sum(phases.get(name, 0.0) for name in _ON_NODE)
    owners = sum(phases.get(name, 0.0) for name in _ON_OWNERS)
    return {"node": node, "owners": owners, "links": sum(phases.values()) - node - owners}


def _row(scenario: Scenario, profile: ModelProfile, best: _Served) -> SchemeRow:
    cuts, node = best.cuts, scenario.node_list()[best.round.node]
    seconds, part_s = best.round.seconds, _by_resource(best.round.phases)
    names = {"node": node.name, "owners": "the owners", "links": "the owners' links"}
    longest = max(part_s, key=part_s.__getitem__)
    price = node.price_per_hour
    return SchemeRow(
        scheme="split_nn",
        status="feasible",
        cut=f"{cuts.first} and {cuts.last}, on {node.name}",
        proved=True,
        gap=0.0,
        round_s=seconds,
        traffic_bytes=owner_bytes(scenario, profile, cuts, best.batches),
        device_flop=owner_work(scenario, profile, cuts),
        device_memory_bytes=owner_memory(scenario, profile, cuts) or None,
        server_memory_bytes=best.memory_bytes or None,
        leakage=None if profile.leakage is None else float(profile.leakage[cuts.first - 1]),
        energy_j=owner_energy(scenario, profile, cuts),
        round_cost=None if price is None else float(rent(seconds, np.array([price]))),
        helps_most=names[longest],
        # Every second is on one chain of tasks, and 1 % more takes 1 % of a resource's seconds.
        saved_per_percent_s=part_s[longest] / 100,
    )
