"""What a plan of `CutAndResources` promises."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from splitopt.planning.predictions.base import Part, Prediction, RoundInterval


class DeviceRound(Part):
    """A round of one device.

    Parameters
    ----------
    name
        The device.
    cut, cut_layer
        How many layers run on it, and the last of them.
    download_share, upload_share, server_share
        Fractions of the resources; 1 of a link that is its own.
    download_s, device_s, upload_s, server_s
        Seconds by phase.
    round_s
        Their sum.
    energy_j
        Joule of the round, where the device's powers are known.
    largest_batch
        The most samples in a batch that its memory holds at this cut, where that is known.
    """

    name: str
    cut: int
    cut_layer: str
    download_share: float
    upload_share: float
    server_share: float
    download_s: float
    device_s: float
    upload_s: float
    server_s: float
    round_s: float
    energy_j: float | None = None
    largest_batch: int | None = None


class Leakage(Part):
    """What the cuts leak.

    Parameters
    ----------
    largest
        Of all devices, as a fraction.
    state
        How the profile knows its leakage.
    limit
        The strictest limit; None without any.
    bound_devices
        Those whose next shallower cut the limit alone rules out.
    """

    largest: float
    state: str | None
    limit: float | None
    bound_devices: list[str]


class Bottleneck(Part):
    """The slowest device.

    Parameters
    ----------
    device
        Its name.
    phase, phase_s, fraction_of_round
        Its longest phase, that phase's seconds, and which fraction of the round they are.
    slowest_devices
        How many devices end with it, itself included.
    helps_most, saved_per_percent
        The resource of which 1 % more saves most, None where nothing helps, and what it saves of
        the objective in the objective's unit.
    """

    device: str
    phase: str
    phase_s: float
    fraction_of_round: float
    slowest_devices: int
    helps_most: str | None
    saved_per_percent: float


class ResourceWorth(Part):
    """What more of a resource saves of the objective, in the objective's unit.

    Parameters
    ----------
    resource
        Its name.
    per_percent
        What 1 % more saves.
    capacity, unit, per_unit
        Where all devices share one capacity: that capacity, its unit, and what one unit more saves.
    """

    resource: str
    per_percent: float
    capacity: float | None = None
    unit: str | None = None
    per_unit: float | None = None


class WithoutBudgets(Part):
    """The best plan without any budget: what it uses of this one, and saves of the objective."""

    used: float
    saves: float


class BudgetUse(Part):
    """What a plan uses of a budget.

    Parameters
    ----------
    name
        The budget.
    used, limit
        In the budget's unit.
    per_percent
        What a limit 1 % larger saves of the relaxed objective, in the objective's unit.
    without
        The best plan without any budget.
    """

    name: str
    used: float
    limit: float
    per_percent: float
    without: WithoutBudgets


class CutAndResourcesPrediction(Prediction):
    """What a plan of `CutAndResources` promises.

    Parameters
    ----------
    objective_unit
        ``s``, or ``J`` of the objective ``energy``.
    devices
        A row per device.
    round_s, total_s, training_s
        Seconds of the slowest device's round, of all devices' rounds together, of all rounds.
    energy_j
        Joule of all devices in a round, where their powers are known.
    leakage
        What the cuts leak, where the profile has a leakage.
    bottleneck
        The slowest device.
    worth
        A row per resource.
    budgets
        A row per budget.
    round_interval, confidence
        See `Prediction`.
    """

    objective_unit: str
    devices: list[DeviceRound]
    round_s: float
    total_s: float
    training_s: float
    energy_j: float | None = None
    leakage: Leakage | None = None
    bottleneck: Bottleneck
    worth: list[ResourceWorth]
    budgets: list[BudgetUse] = Field(default=[])
    round_interval: RoundInterval | None = None
    confidence: Any = None

    def bound_by_leakage(self) -> list[str] | None:
        """Return the devices whose next shallower cut the leakage limit alone rules out."""
        return None if self.leakage is None else self.leakage.bound_devices
