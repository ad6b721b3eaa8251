"""What a plan of `CutAndClusters` promises: the cuts, and seconds by cluster, phase and device."""

from __future__ import annotations

import numpy as np

from splitopt.planning.cluster_and_spectrum import round_fields, round_notes, round_parts
from splitopt.planning.explaining import Explainer
from splitopt.planning.predictions.cut_and_clusters import CutAndClustersPrediction, CutRound
from splitopt.problems.cut_and_clusters import CutAndClusters, CutAndClustersDecision
from splitopt.scenario import Scenario
from splitopt.scenario.nodes import AUTO


class CutAndClustersExplainer(
    Explainer[CutAndClusters, CutAndClustersDecision, CutAndClustersPrediction]
):
    """Explains plans of `CutAndClusters`."""

    problem = "cut_and_clusters"
    section = "clusters"

    @classmethod
    def is_asked_by(cls, scenario: Scenario) -> bool:
        """Return whether a scenario has clusters and leaves their cut open."""
        return scenario.clusters is not None and scenario.clusters.cut == AUTO

    def predict(
        self, problem: CutAndClusters, decision: CutAndClustersDecision
    ) -> CutAndClustersPrediction:
        """Compute the seconds by cluster in their order of work, by device, and at other cuts."""
        names = [problem.cuts[cut] for cut in decision.cuts.tolist()]
        leakage = self.profile.leakage
        at = [self.profile.layers.index(name) for name in set(names)]
        costs = problem.costs(decision.clusters)
        return CutAndClustersPrediction(
            **round_parts(self.scenario, problem, decision),
            cuts=names,
            other_cuts=[
                CutRound(cut=problem.cuts[cut], same_clusters_s=float(np.sum(costs[cut])))
                for cut in problem.common.tolist()
            ],
            leakage=None if leakage is None else float(leakage[at].max()),
        )

    def notes(self) -> list[str]:
        """Return notes about filled counts, readings, and limits not checked."""
        return round_notes(self.scenario, self.profile, mean_server=False)

    def used(self) -> set[str]:
        """Name the fields that a plan follows from."""
        return round_fields(self.scenario, self.profile)


EXPLAINER = CutAndClustersExplainer
