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
    server
        Its server, where devices choose between choices beyond a cut.
    bits_up, bits_down
        Bits in which a value crosses the cut, where the scenario leaves a choice.
    clock
        Its clock as a multiple of the one that its speed is stated at, where some device chooses.
    adapter_rank
        The rank of the adapters of its model, where the scenario leaves a choice.
    transmit_power_w
        W with which it sends, where some device chooses and it is known.
    slow_round_s
        Seconds of the round when the device is slow, where devices may be.
    left_out
        True if a quorum leaves it out; its seconds are 0 then.
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
    server: str | None = None
    bits_up: int | None = None
    bits_down: int | None = None
    clock: float | None = None
    adapter_rank: int | None = None
    transmit_power_w: float | None = None
    slow_round_s: float | None = None
    left_out: bool | None = None


class ServerUse(Part):
    """A server and its devices.

    Parameters
    ----------
    name, devices
        The server, and how many devices it has.
    seats
        The most that it serves, where that is limited.
    total_s, round_s
        Seconds of its devices' rounds together, and of the longest of them.
    """

    name: str
    devices: int
    seats: int | None = None
    total_s: float
    round_s: float | None = None


class FreedomWorth(Part):
    """What a kind of choice was worth.

    Parameters
    ----------
    freedom
        ``server``, ``cut``, ``rank``, ``up``, ``down``, ``clock`` or ``power``.
    without
        What takes its place.
    objective
        The best objective without it; None where no plan without it was found.
    saves
        What the plan saves of that.
    """

    freedom: str
    without: str
    objective: float | None = None
    saves: float | None = None


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
        Those whose next shallower cut the limit alone rules out; of a plan by group, the groups, at
        most 100 of them.
    bound
        How many devices these are, of a plan by group.
    """

    largest: float
    state: str | None
    limit: float | None
    bound_devices: list[str]
    bound: int | None = None


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
    unit
        That unit, where it is not byte.
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
    unit: str | None = None


class WorstRound(Part):
    """What a round takes at worst, where devices may be slow or a quorum is enough.

    Parameters
    ----------
    slow_devices
        How many may be slow at once.
    quorum
        How many devices a round waits for.
    nominal_s, worst_s
        The objective if none is slow, and if those are that hurt most.
    slow
        The devices that are slow in a worst case.
    protected
        Those that are in time in the worst case even when they are slow; of the sum, those that
        take no longer when slow.
    left_out
        Those that get no shares.
    """

    slow_devices: float
    quorum: int
    nominal_s: float
    worst_s: float
    slow: list[str]
    protected: list[str]
    left_out: list[str]


class PartRound(Part):
    """A round of the devices of a group that have the same cut, and of each the same.

    Parameters
    ----------
    group, devices
        The group, and how many of its devices.
    cut, cut_layer
        How many layers run on each, and the last of them.
    download_share, upload_share, server_share
        Fractions of the resources that EACH has; 1 of a link that is its own.
    download_s, device_s, upload_s, server_s
        Seconds of each by phase.
    round_s
        Their sum.
    energy_j
        Joule of the round of each, where powers are known.
    largest_batch
        The most samples in a batch that the memory of each holds at this cut, where known.
    """

    group: str
    devices: int
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


class CutUse(Part):
    """All devices with one cut: how many, what they have together, and their rounds.

    Parameters
    ----------
    cut, cut_layer, devices
        The cut, its layer, and how many devices have it.
    download_share, upload_share, server_share
        Fractions of the resources that they have TOGETHER; None of links that are their own.
    least_s, mean_s, most_s
        The shortest of their rounds, the mean, and the longest.
    """

    cut: int
    cut_layer: str
    devices: int
    download_share: float | None
    upload_share: float | None
    server_share: float
    least_s: float
    mean_s: float
    most_s: float


class GroupRounds(Part):
    """The rounds of a plan by group, in tables of bounded size.

    Parameters
    ----------
    devices, groups, parts
        How many there are in all.
    cuts
        A row for each cut that is in use.
    rows
        A row per part in the order of the groups; of more than 1,000, those of the longest rounds.
    """

    devices: int
    groups: int
    parts: int
    cuts: list[CutUse]
    rows: list[PartRound]


class CutAndResourcesPrediction(Prediction):
    """What a plan of `CutAndResources` promises.

    Parameters
    ----------
    objective_unit
        ``s``, or ``J`` of the objective ``energy``.
    devices
        A row per device; none in a plan by group.
    groups
        What a plan by group has instead.
    round_s, total_s, training_s
        Seconds of the slowest device's round, of all devices' rounds together, of all rounds.
    energy_j
        Joule of all devices in a round, where their powers are known.
    leakage
        What the cuts leak, where the profile has a leakage.
    bottleneck
        The slowest device.
    servers
        A row per server, where devices choose between choices beyond a cut.
    freedoms
        A row per kind of choice, see `splitopt.planning.freedoms`.
    worth
        A row per resource.
    budgets
        A row per budget.
    worst_case
        What a round takes at worst, in a robust plan; the other seconds are those if none is slow.
    round_interval, confidence
        See `Prediction`.
    """

    objective_unit: str
    devices: list[DeviceRound]
    groups: GroupRounds | None = None
    servers: list[ServerUse] = Field(default=[])
    freedoms: list[FreedomWorth] = Field(default=[])
    round_s: float
    total_s: float
    training_s: float
    energy_j: float | None = None
    leakage: Leakage | None = None
    bottleneck: Bottleneck
    worth: list[ResourceWorth]
    budgets: list[BudgetUse] = Field(default=[])
    worst_case: WorstRound | None = None
    round_interval: RoundInterval | None = None
    confidence: Any = None

    def bound_by_leakage(self) -> list[str] | None:
        """Return the devices whose next shallower cut the leakage limit alone rules out."""
        return None if self.leakage is None else self.leakage.bound_devices
