"""What a plan of `CommonCut` promises."""

from __future__ import annotations

from typing import Any

from splitopt.planning.predictions.base import Part, Prediction, RoundInterval
from splitopt.planning.predictions.cut_and_resources import Leakage


class DeviceRound(Part):
    """A device's own part of the round, without what it waits for.

    Parameters
    ----------
    name
        The device.
    download_share, upload_share, server_share
        Fractions of the resources while it uses them; 1 where it has all of one.
    download_s, device_s, upload_s, server_s
        Seconds by phase at these shares.
    own_s
        Their sum.
    """

    name: str
    download_share: float
    upload_share: float
    server_share: float
    download_s: float
    device_s: float
    upload_s: float
    server_s: float
    own_s: float


class OtherCut(Part):
    """The round at a cut that all could take: the cut, its layer, and s."""

    cut: int
    cut_layer: str
    round_s: float


class CommonCutPrediction(Prediction):
    """What a plan of `CommonCut` promises.

    Parameters
    ----------
    objective_unit
        ``s``.
    scheme
        Whose round is predicted, and by which the plan is trained.
    server_order
        How SplitFedV2 serves, ``client`` or ``batch``; None of other schemes.
    cut, cut_layer
        How many layers run on every device, and the last of them.
    devices
        A row per device.
    phases_s
        Seconds of the round by phase on the chain of tasks that ends last.
    round_s, training_s
        Seconds of a round and of all rounds.
    cuts
        Every cut that all can take, with its round.
    traffic_bytes, device_memory_bytes, server_memory_bytes
        What crosses all links in a round, and the memory of the device that needs most and of the
        server; None where it is not known.
    leakage
        What the cut leaks, where the profile has a leakage and something crosses a cut.
    round_interval, confidence
        See `Prediction`.
    """

    objective_unit: str
    scheme: str
    server_order: str | None = None
    cut: int
    cut_layer: str
    devices: list[DeviceRound]
    phases_s: dict[str, float]
    round_s: float
    training_s: float
    cuts: list[OtherCut]
    traffic_bytes: float
    device_memory_bytes: float | None = None
    server_memory_bytes: float | None = None
    leakage: Leakage | None = None
    round_interval: RoundInterval | None = None
    confidence: Any = None

    def remarks(self) -> list[str]:
        """Return in which order a round is served that is predicted."""
        if self.server_order is None:
            return []
        serves = "client after client" if self.server_order == "client" else "batch after batch"
        return [
            f"the server serves {serves}; the round is that of the devices in the order of the "
            "scenario, and training draws an order for every round, whose own time it keeps"
        ]

    def bound_by_leakage(self) -> list[str] | None:
        """Return the devices whose next shallower cut the leakage limit alone rules out."""
        return None if self.leakage is None else self.leakage.bound_devices
