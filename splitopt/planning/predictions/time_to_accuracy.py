"""What a plan of `TimeToAccuracy` promises."""

from __future__ import annotations

from typing import Any

from splitopt.documents.schemas import Document
from splitopt.planning.predictions.base import Part, Prediction, RoundInterval
from splitopt.planning.predictions.cut_and_resources import Leakage


class DeviceStep(Part):
    """A device's own part of a round, without what it waits for.

    Parameters
    ----------
    name
        The device.
    cut, cut_layer, batch_size
        Layers on it, the last of them, and samples of a mini-batch.
    out_s, server_s, back_s
        Seconds of its batch until the activations are up, in the server, and until it is done.
    exchange_s
        Seconds in which its part of the model goes up and down, spread over the interval.
    own_s
        Their sum.
    """

    name: str
    cut: int
    cut_layer: str
    batch_size: int
    out_s: float
    server_s: float
    back_s: float
    exchange_s: float
    own_s: float


class OtherPlan(Part):
    """A plan made in a simpler way, valued by the same curve.

    Parameters
    ----------
    cuts, batch_sizes
        The different ones, rising.
    aggregation_interval
        Steps between two averages.
    time_s
        Seconds until the target.
    factor
        How many times as long as this plan.
    """

    cuts: list[int]
    batch_sizes: list[int]
    aggregation_interval: int
    time_s: float
    factor: float


class OtherCurve(Part):
    """The plan under a curve at the ends of what is known of its constants.

    Parameters
    ----------
    batch_factor, interval_exponent
        The constants.
    factor
        How many times as long the plan takes as the best one under that curve.
    bound_factor
        The same against the proved bound under that curve: what it is at most.
    same
        Whether the best plan under that curve is this one.
    """

    batch_factor: float
    interval_exponent: float
    factor: float
    bound_factor: float
    same: bool


class JointWorth(Document):
    """The parts of a prediction that only further searches find: read, and not found again."""

    common: OtherPlan | None = None
    without_model: OtherPlan | None = None
    other_curves: list[OtherCurve] | None = None


class TimeToAccuracyPrediction(Prediction):
    """What a plan of `TimeToAccuracy` promises.

    Parameters
    ----------
    objective_unit
        ``s``.
    metric, target
        What a training ends at.
    rounds
        Rounds, that is steps, until then by the curve.
    aggregation_interval
        Steps between two averages of the devices' parts.
    largest_cut
        Of all devices, which counts for rounds.
    devices
        A row per device.
    phases_s
        Seconds of a round by phase.
    round_s, training_s
        Seconds of a round, and until the target.
    traffic_bytes
        What crosses all links in a round, aggregations spread over the interval.
    device_memory_bytes
        Of the device that needs most; None where it is not known.
    leakage
        What the largest cut leaks, where the profile has a leakage.
    common, without_model
        The best plan with one cut and one batch size for all, and the plan of the shortest round;
        None where there is none.
    other_curves
        The plan under the ends of what is known of the curve; None where nothing is known of it.
    round_interval, confidence
        See `Prediction`.
    """

    objective_unit: str
    metric: str
    target: float
    rounds: float
    aggregation_interval: int
    largest_cut: int
    devices: list[DeviceStep]
    phases_s: dict[str, float]
    round_s: float
    training_s: float
    traffic_bytes: float
    device_memory_bytes: float | None = None
    leakage: Leakage | None = None
    common: OtherPlan | None = None
    without_model: OtherPlan | None = None
    other_curves: list[OtherCurve] | None = None
    round_interval: RoundInterval | None = None
    confidence: Any = None

    def remarks(self) -> list[str]:
        """Return whether the plan survives what is not known of its curve."""
        if self.other_curves is None:
            return [
                "nothing is known of how far the curve may be off (it was fitted to one seed): "
                "calibrate with two seeds to see whether the plan survives that"
            ]
        worst = max(row.factor for row in self.other_curves)
        if all(row.same for row in self.other_curves):
            return ["the plan is the best one at all ends of the curve's ranges"]
        return [
            "at some ends of the curve's ranges another plan is better: this one takes up to "
            f"{100 * (worst - 1):.2g} % longer there than the best plan found"
        ]

    def bound_by_leakage(self) -> list[str] | None:
        """Return the devices whose next shallower cut the leakage limit alone rules out."""
        return None if self.leakage is None else self.leakage.bound_devices
