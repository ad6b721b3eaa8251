"""What a plan of `ClusterAndSpectrum` promises."""

from __future__ import annotations

from typing import Any

from splitopt.planning.predictions.base import Part, Prediction, RoundInterval


class ClusterRound(Part):
    """A cluster's part of the round.

    Parameters
    ----------
    devices
        Their names.
    subcarriers
        Of all its devices together.
    starting_s, inner_s, ending_s
        Seconds by phase, with the server's part; no inner ones with one local epoch.
    held_up_by
        Phase -> the device that is last in it.
    seconds
        Of the cluster.
    """

    devices: list[str]
    subcarriers: int
    starting_s: float
    inner_s: float | None = None
    ending_s: float
    held_up_by: dict[str, str]
    seconds: float


class DeviceRound(Part):
    """A device's part of the round.

    Parameters
    ----------
    name, cluster
        The device, and the place of its cluster in the order of work, from 0.
    subcarriers
        How many it has.
    starting_s, inner_s, ending_s
        Seconds by phase, without the server's part; no inner ones with one local epoch.
    waits_s
        Seconds for which it waits for the others of its cluster, over all phases.
    """

    name: str
    cluster: int
    subcarriers: int
    starting_s: float
    inner_s: float | None = None
    ending_s: float
    waits_s: float


class SlowestCluster(Part):
    """The place of the slowest cluster from 0, its seconds and its fraction of the round."""

    cluster: int
    seconds: float
    fraction_of_round: float


class ClusterAndSpectrumPrediction(Prediction):
    """What a plan of `ClusterAndSpectrum` promises.

    Parameters
    ----------
    objective_unit
        ``s``.
    clusters, devices
        A row per cluster in their order of work, and a row per device.
    round_s, training_s
        Seconds of all clusters one after the other, and of all rounds.
    bottleneck
        The slowest cluster.
    round_interval, confidence
        See `Prediction`.
    """

    objective_unit: str
    clusters: list[ClusterRound]
    devices: list[DeviceRound]
    round_s: float
    training_s: float
    bottleneck: SlowestCluster
    round_interval: RoundInterval | None = None
    confidence: Any = None
