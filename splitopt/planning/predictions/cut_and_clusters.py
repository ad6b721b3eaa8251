"""What a plan of `CutAndClusters` promises."""

from __future__ import annotations

from typing import Any

from splitopt.planning.predictions.base import Part, Prediction, RoundInterval
from splitopt.planning.predictions.cluster_and_spectrum import (
    ClusterRound,
    DeviceRound,
    SlowestCluster,
)


class CutRound(Part):
    """A cut that all devices may take: and its round.

    Parameters
    ----------
    cut
        The name of the last layer on the devices.
    same_clusters_s
        Seconds of a round with the plan's clusters at this cut, and the best subcarriers for it.
    """

    cut: str
    same_clusters_s: float


class CutAndClustersPrediction(Prediction):
    """What a plan of `CutAndClusters` promises.

    Parameters
    ----------
    objective_unit
        ``s``.
    cuts
        The last layer on the devices, for each cluster in their order of work.
    clusters, devices
        A row per cluster in their order of work, and a row per device.
    round_s, training_s
        Seconds of all clusters one after the other, and of all rounds.
    bottleneck
        The slowest cluster.
    other_cuts
        Every cut that all devices may take, with its round for the plan's clusters.
    leakage
        The largest leakage of the cuts that are taken, where the profile has a leakage.
    round_interval, confidence
        See `Prediction`.
    """

    objective_unit: str
    cuts: list[str]
    clusters: list[ClusterRound]
    devices: list[DeviceRound]
    round_s: float
    training_s: float
    bottleneck: SlowestCluster
    other_cuts: list[CutRound]
    leakage: float | None = None
    round_interval: RoundInterval | None = None
    confidence: Any = None
