"""Plans of `CutAndClusters`: clusters in turn at the cut that they share."""

from __future__ import annotations

from splitopt.errors import InputError
from splitopt.planning.planner import OpenedPlan
from splitopt.problems.cut_and_clusters import CutAndClusters, CutAndClustersDecision
from splitopt.training.problems.cluster_and_spectrum import at_one_cut
from splitopt.training.program import Program


def program(opened: OpenedPlan, plan_digest: str, source: str) -> Program:
    """Return what a plan asks: L mini-batches of every device while its cluster has its turn.

    Raises
    ------
    InputError
        Clusters have different cuts, which one part of the server cannot serve.
    """
    problem, decision = opened.problem, opened.decision
    assert isinstance(problem, CutAndClusters)
    assert isinstance(decision, CutAndClustersDecision)
    names = [problem.cuts[cut] for cut in decision.cuts.tolist()]
    if other := next((m for m, name in enumerate(names) if name != names[0]), 0):
        raise InputError(
            f"{source}: clusters 1 and {other + 1} of the plan cut at {names[0]} and "
            f"{names[other]}, and in CPSL all clusters train one part of the server; plan without "
            "clusters.cut_per_cluster to train"
        )
    cut = opened.profile.layers.index(names[0]) + 1
    return at_one_cut(opened, decision.round, cut, plan_digest, source)
