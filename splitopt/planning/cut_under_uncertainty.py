"""What a plan of `CutUnderUncertainty` promises: the cut, and how its rounds vary."""

from __future__ import annotations

import numpy as np

from splitopt.planning.cluster_and_spectrum import round_fields
from splitopt.planning.explaining import Explainer
from splitopt.planning.predictions.cut_under_uncertainty import (
    CutUnderUncertaintyPrediction,
    RoundSpread,
)
from splitopt.problems.cut_under_uncertainty import (
    CutUnderUncertainty,
    CutUnderUncertaintyDecision,
)
from splitopt.problems.cut_under_uncertainty.risk import cvar
from splitopt.problems.memory import unchecked


class CutUnderUncertaintyExplainer(
    Explainer[CutUnderUncertainty, CutUnderUncertaintyDecision, CutUnderUncertaintyPrediction]
):
    """Explains plans of `CutUnderUncertainty`."""

    problem = "cut_under_uncertainty"
    section = "distributions"

    def predict(
        self, problem: CutUnderUncertainty, decision: CutUnderUncertaintyDecision
    ) -> CutUnderUncertaintyPrediction:
        """Compute the mean and the spread of the sampled rounds."""
        latencies = problem.latencies(decision)
        mean = float(latencies.mean())
        return CutUnderUncertaintyPrediction(
            objective_unit="s",
            cut=problem.cuts[decision.cut],
            samples=problem.samples,
            round_s=mean,
            rounds=RoundSpread(
                least_s=float(latencies.min()),
                median_s=float(np.median(latencies)),
                p95_s=float(np.quantile(latencies, 0.95)),
                most_s=float(latencies.max()),
                cvar_s=float(cvar(latencies, problem.cvar_level)),
                cvar_level=problem.cvar_level,
            ),
            training_s=mean * self.scenario.training.rounds,
        )

    def notes(self) -> list[str]:
        """Return the limits that cannot be checked."""
        return unchecked(self.scenario, self.profile)

    def used(self) -> set[str]:
        """Name the fields that a plan follows from: those of a round, and what varies."""
        return {*round_fields(self.scenario, self.profile), "distributions"}


EXPLAINER = CutUnderUncertaintyExplainer
