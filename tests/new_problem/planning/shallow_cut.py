"""What a plan of the new problem promises."""

from __future__ import annotations

from typing import Any

from splitopt.planning.explaining import Explainer
from splitopt.planning.predictions import Prediction, RoundInterval


class ShallowCutPrediction(Prediction):
    """The layer of the cut, and the seconds of all devices."""

    objective_unit: str
    cut_layer: str
    round_s: float
    training_s: float
    round_interval: RoundInterval | None = None
    confidence: Any = None


class ShallowCutExplainer(Explainer[Any, Any, ShallowCutPrediction]):
    """Explains plans of the new problem."""

    problem = "shallow_cut"

    def predict(self, problem, decision):
        seconds = problem.evaluate(decision)
        return ShallowCutPrediction(
            objective_unit="s",
            cut_layer=self.profile.layers[decision.cut],
            round_s=seconds,
            training_s=seconds * self.scenario.training.rounds,
        )

    def notes(self):
        return ["servers do not count"]

    def used(self):
        return {"model.profile", "devices", "training", "servers", "links"}


EXPLAINER = ShallowCutExplainer
