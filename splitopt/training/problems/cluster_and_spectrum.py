"""Plans of `ClusterAndSpectrum`: clusters in turn, the devices of each in parallel."""

from __future__ import annotations

from splitopt.errors import InputError
from splitopt.latency.cell import cut_index
from splitopt.planning.planner import OpenedPlan
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrumDecision
from splitopt.training.program import (
    Allocation,
    Groups,
    Program,
    client_plans,
    cut_name,
    make_program,
)


def program(opened: OpenedPlan, plan_digest: str, source: str) -> Program:
    """Return what a plan asks: L mini-batches of every device while its cluster has its turn."""
    decision, scenario = opened.decision, opened.scenario
    assert isinstance(decision, ClusterAndSpectrumDecision)
    assert scenario.clusters is not None  # the problem could not be built without
    cut = cut_index(opened.profile, scenario.clusters.cut)
    return at_one_cut(opened, decision, cut, plan_digest, source)


def at_one_cut(
    opened: OpenedPlan,
    decision: ClusterAndSpectrumDecision,
    cut: int,
    plan_digest: str,
    source: str,
) -> Program:
    """Return the program of clusters that all have one cut, 1..L."""
    cuts, scenario = same_cut(opened, cut, source), opened.scenario
    return make_program(
        opened,
        "clustered",
        plan_digest,
        clients=client_plans(scenario, cuts, _subcarriers(decision)),
        local_epochs=1,
        local_steps=scenario.training.epochs,
        groups=(groups_of(decision),),
    )


def same_cut(opened: OpenedPlan, cut: int, source: str) -> list[tuple[str, ...]]:
    """Assign every device the cut of a plan in clusters, which must leave the server something."""
    name = cut_name(opened.profile, cut)
    if not name:
        raise InputError(
            f"{source}: the plan keeps all {opened.profile.layer_count} layers on the devices, so "
            "that nothing is split; plan with an earlier clusters.cut"
        )
    return [name] * len(opened.scenario.fleet())


def groups_of(decision: ClusterAndSpectrumDecision) -> Groups:
    """Return the clusters of a round as indices of clients."""
    return tuple(tuple(int(n) for n in cluster) for cluster in decision.clusters)


def _subcarriers(decision: ClusterAndSpectrumDecision) -> list[Allocation]:
    """Return every device's cluster and its number of subcarriers."""
    cluster = {int(n): m for m, members in enumerate(decision.clusters) for n in members}
    return [
        {"cluster": cluster[n], "subcarriers": int(count)}
        for n, count in enumerate(decision.subcarriers)
    ]
