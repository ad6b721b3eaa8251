"""What a plan of `CutUnderUncertainty` promises."""

from __future__ import annotations

from typing import Any

from splitopt.planning.predictions.base import Part, Prediction, RoundInterval


class RoundSpread(Part):
    """How the rounds of the samples spread, in s; ``cvar_s`` is at the level ``cvar_level``."""

    least_s: float
    median_s: float
    p95_s: float
    most_s: float
    cvar_s: float
    cvar_level: float


class CutUnderUncertaintyPrediction(Prediction):
    """What a plan of `CutUnderUncertainty` promises.

    Parameters
    ----------
    objective_unit
        ``s``.
    cut
        The name of the cut of all devices.
    samples
        How many rounds were drawn.
    round_s, training_s
        Mean seconds of the drawn rounds, and of all rounds of the training.
    rounds
        How they spread.
    round_interval, confidence
        See `Prediction`.
    """

    objective_unit: str
    cut: str
    samples: int
    round_s: float
    rounds: RoundSpread
    training_s: float
    round_interval: RoundInterval | None = None
    confidence: Any = None
