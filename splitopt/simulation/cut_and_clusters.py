"""A round of `CutAndClusters` event by event: clusters in turn, each at its cut."""

from __future__ import annotations

from splitopt.problems.cut_and_clusters import CutAndClusters, CutAndClustersDecision
from splitopt.simulation.cluster_and_spectrum import replay_clusters
from splitopt.simulation.replay import Replay, Setting


def replay(problem: CutAndClusters, decision: CutAndClustersDecision, setting: Setting) -> Replay:
    """Simulate a round."""
    seconds = problem.cluster_seconds(decision), problem.server_seconds(decision)
    placed = problem.placed(decision)
    return replay_clusters(placed, decision.round, seconds, setting, problem.name)
