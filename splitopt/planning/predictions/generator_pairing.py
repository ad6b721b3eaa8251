"""What a plan of `GeneratorPairing` promises."""

from __future__ import annotations

from typing import Any

from splitopt.planning.predictions.base import Part, Prediction, RoundInterval
from splitopt.planning.predictions.iotsl import IoTSLPrediction, sentences


class Transfer(Part):
    """A generator that is sent.

    Parameters
    ----------
    receiver, sender
        The devices.
    labels
        The missing classes that the receiver takes from it.
    bytes, seconds
        What crosses links, and how long, at the full links.
    """

    receiver: str
    sender: str
    labels: list[int | str]
    bytes: float
    seconds: float


class DevicePairing(Part):
    """A device's part of the exchange.

    Parameters
    ----------
    name
        The device.
    missing
        The classes that it lacks.
    senders
        Whose generators it receives.
    receivers
        To how many devices its own generator goes.
    received_bytes, seconds
        Of all generators that it receives, one after the other.
    """

    name: str
    missing: list[int | str]
    senders: list[str]
    receivers: int
    received_bytes: float
    seconds: float


class GeneratorPairingPrediction(Prediction):
    """What a plan of `GeneratorPairing` promises.

    Parameters
    ----------
    objective_unit
        ``s`` or ``B``, as the scenario's ``generators.cost`` asks.
    transfers, devices
        A row per generator that is sent, and a row per device.
    exchange_s, exchange_bytes
        Of all transfers, one after the other at the full links.
    lacking_quality
        What is charged for the quality that is lost, in the unit of the objective.
    devices_without_one_partner
        How many devices no single generator helps: those that Algorithm 2 leaves without.
    iotsl
        Whether the whole pays, where the scenario says what training the generators takes.
    round_s, training_s
        The exchange, which takes place once, before all rounds.
    round_interval, confidence
        See `Prediction`.
    """

    objective_unit: str
    transfers: list[Transfer]
    devices: list[DevicePairing]
    exchange_s: float
    exchange_bytes: float
    lacking_quality: float = 0.0
    devices_without_one_partner: int
    iotsl: IoTSLPrediction | None = None
    round_s: float
    training_s: float
    round_interval: RoundInterval | None = None
    confidence: Any = None

    def remarks(self) -> list[str]:
        """Return whether IoTSL pays, where that is known."""
        return [] if self.iotsl is None else sentences(self.iotsl)
