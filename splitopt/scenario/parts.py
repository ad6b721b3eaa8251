"""The parts of a scenario: links, devices, servers, training, privacy and the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from splitopt import units
from splitopt.documents.checks import is_number
from splitopt.errors import InputError, shown
from splitopt.scenario.energy import Frequency, PowerRange, RadioPower
from splitopt.scenario.machine import Count, Machine, Name, Part
from splitopt.scenario.nodes import NodeLinks, Price, expanded_names
from splitopt.scenario.quantity import (
    NUMBER,
    Bandwidth,
    Factor,
    NoiseDensity,
    Power,
    PowerGain,
    Rate,
    Truth,
    read_truth,
)
from splitopt.scenario.time_to_accuracy import Choices

MODEL = "model"
"""All parts compute a gradient for each sample, those of the server too."""

Leakage = Annotated[float, Field(ge=0, le=1), NUMBER]

DECIBELS = {
    "transmit_power_dbm": ("transmit_power", "power", 30.0),
    "channel_gain_db": ("channel_gain", "", 0.0),
    "noise_density_dbm_per_hz": ("noise_density", "noise density", 30.0),
    "snr_db": ("snr", "", 0.0),
}
"""Decibel field -> the linear field it stands for, its kind, and the level of one SI unit."""

_SIGNAL = ("transmit_power", "channel_gain", "noise_density")
"""What a signal-to-noise ratio follows from, with the bandwidth."""


def linear_fields(value: dict[str, Any]) -> dict[str, Any]:
    """Turn decibel fields into the linear ones they stand for."""
    linear = dict(value)
    for decibels, (field, kind, offset) in DECIBELS.items():
        if decibels not in linear:
            continue
        level = linear.pop(decibels)
        if not is_number(level):
            raise InputError(f"{decibels} is {shown(level)}, it must be a number in decibels")
        if field in linear:
            raise InputError(f"{decibels} and {field} are both given; keep one")
        if not -1000 <= level <= 1000:
            raise InputError(f"{decibels} is {shown(level)}, it must be from -1000 to 1000")
        number = 10.0 ** ((level - offset) / 10)
        linear[field] = units.render(number, kind) if kind else number
    return linear


class Link(Part):
    """One direction of the radio or wire between a device and the server.

    Either ``rate`` (bit/s at the full resource), or ``bandwidth`` (Hz) and the signal-to-noise
    ratio ``snr``, from which Shannon gives the rate (DP-MORA Eq. 1 and 4). The ratio is given or
    follows from ``transmit_power`` (W), ``channel_gain`` (the power gain |h|^2) and
    ``noise_density`` (W/Hz). In a file, decibels are fields of their own: ``snr_db``,
    ``transmit_power_dbm``, ``channel_gain_db`` and ``noise_density_dbm_per_hz``.
    """

    rate: Rate | None = None
    bandwidth: Bandwidth | None = None
    transmit_power: Power | None = None
    channel_gain: PowerGain | None = None
    noise_density: NoiseDensity | None = None
    snr: PowerGain | None = None

    ALSO_READ: ClassVar[tuple[str, ...]] = tuple(DECIBELS)
    HINTS: ClassVar[Mapping[str, str]] = {
        "latency": "the links of devices have none, a delay of messages belongs to 'links.nodes'"
    }

    @model_validator(mode="before")
    @classmethod
    def _read_short_forms(cls, value: Any) -> Any:
        """Turn a bare text into a rate, and decibels into linear numbers."""
        if isinstance(value, str):
            return {"rate": value}
        if is_number(value):
            units.parse(value, "rate")  # says which unit is missing
        if not isinstance(value, dict):
            return value
        return linear_fields(value)

    def over(self, other: Link) -> Link:
        """Return this link with the other's fields where it has none of its own."""
        if self.rate is not None:
            return self
        fields = {
            name: value for link in (other, self) for name, value in link if value is not None
        }
        if self.bandwidth is not None:
            fields.pop("rate", None)
        if self.snr is not None:
            fields = {name: value for name, value in fields.items() if name not in _SIGNAL}
        elif any(getattr(self, name) is not None for name in _SIGNAL):
            fields.pop("snr", None)
        return Link(**fields)

    def signal_to_noise(self, bandwidth: float) -> float:
        """Return the ratio in a band of some Hz; `missing` must be empty."""
        if self.snr is not None:
            return self.snr
        assert self.transmit_power is not None  # missing() saw to it
        assert self.channel_gain is not None
        assert self.noise_density is not None
        return self.transmit_power * self.channel_gain / (bandwidth * self.noise_density)

    def missing(self) -> tuple[str, ...]:
        """Names of the fields that are needed to know the rate and are not given."""
        if self.rate is not None:
            return ()
        needed = ("bandwidth", *(_SIGNAL if self.snr is None else ()))
        return tuple(name for name in needed if getattr(self, name) is None)


class Links(Part):
    """The downlink and uplink between devices and servers or nodes; a device may override its own.

    ``shared`` is true where all devices share one downlink and one uplink, such as a radio cell or
    one access point; false where every device has a downlink and an uplink of its own at that rate.
    ``nodes`` is about the links between compute nodes.
    """

    HINTS: ClassVar[Mapping[str, str]] = {
        "latency": "the links of devices have none, a delay of messages belongs to 'links.nodes'",
        "rate": "state it as 'downlink' and 'uplink'",
        "bandwidth": "state it in 'downlink' and 'uplink'",
    }

    downlink: Link
    uplink: Link
    shared: Truth = True
    nodes: NodeLinks | None = None


class ServerLinks(Part):
    """The links to one server, of all devices or of one; what is left out is as without it."""

    HINTS: ClassVar[Mapping[str, str]] = {
        "rate": "state it as 'downlink' and 'uplink'",
        "bandwidth": "state it in 'downlink' and 'uplink'",
        "shared": "it holds for the links to all servers; state it in 'links'",
    }

    downlink: Link | None = None
    uplink: Link | None = None


def _links_by_name(value: Any) -> Any:
    """Read a list of names of servers as servers without links of their own."""
    if not isinstance(value, list | tuple):
        return value
    for place, name in enumerate(value):
        if not isinstance(name, str):
            raise InputError(
                f"entry {place} is {shown(name)}, it must be the name of a server; links of its "
                "own are stated as {NAME: {uplink: ...}}"
            )
        if name in value[:place]:
            raise InputError(f"{shown(name)} stands twice; name each server once")
    return {name: {} for name in value}


Reached = Annotated[dict[Name, ServerLinks], BeforeValidator(_links_by_name)]


class Device(Machine):
    """A device, or a group of ``count`` alike devices that are named NAME-1 to NAME-count.

    ``samples`` is the size of its local data set, ``batch_size`` its mini-batch.
    ``compute_power`` and ``transmit_power`` are in W, ``memory`` in byte. ``priority`` is the
    factor by which its latency counts, ``leakage_limit`` a limit of its own. ``channel_gain`` and
    ``snr`` hold for both directions of its radio; in a file they may be given in decibels.
    ``servers`` are those that it reaches, each with links of its own where they differ: a list of
    names, or name -> links. Without it, it reaches all. ``frequency`` is the range of its clock,
    and ``transmit_power`` may be a range, too.
    """

    ALSO_READ: ClassVar[tuple[str, ...]] = ("transmit_power_dbm", "channel_gain_db", "snr_db")
    HINTS: ClassVar[Mapping[str, str]] = {
        "latency": "the links of devices have none, a delay of messages belongs to 'links.nodes'",
        "rate": "state it as 'downlink' and 'uplink'",
        "bandwidth": "state it in 'downlink' and 'uplink'",
        "speed": "state it as 'compute'",
    }

    count: Count = 1
    samples: Count
    batch_size: Count | None = None
    compute_power: Power | None = None
    transmit_power: RadioPower | None = None
    channel_gain: PowerGain | None = None
    snr: PowerGain | None = None
    downlink: Link | None = None
    uplink: Link | None = None
    servers: Reached | None = None
    frequency: Frequency | None = None
    priority: Factor | None = None
    leakage_limit: Leakage | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_decibels(cls, value: Any) -> Any:
        return linear_fields(value) if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _batch_fits(self) -> Self:
        if self.batch_size is not None and self.batch_size > self.samples:
            raise InputError(
                f"batch_size is {self.batch_size}, more than the {self.samples} samples there are"
            )
        return self

    def names(self) -> list[str]:
        """Name of every single device of the group."""
        return expanded_names(self.name, self.count)

    def reaches(self, server: Server) -> bool:
        """Return whether the device can use a server."""
        return self.servers is None or server.name in self.servers

    def link(
        self,
        direction: Literal["downlink", "uplink"],
        shared: Links,
        server: Server | None = None,
    ) -> Link:
        """Return the device's link in one direction: its own fields before those of all.

        Of a link to a `server` that is given, what the device says of that server counts first,
        then the device's own link, then what the server says, then `shared`. The power is the
        highest where the device chooses it.
        """
        own: dict[str, float] = {}
        for name in ("channel_gain", "snr"):
            if getattr(self, name) is not None:
                own[name] = getattr(self, name)
        if direction == "uplink" and self.transmit_power is not None:
            power = self.transmit_power
            own["transmit_power"] = power.max if isinstance(power, PowerRange) else power
        base: Link = getattr(shared, direction)
        if server is not None and server.links is not None:
            base = _over(getattr(server.links, direction), base)
        base = Link(**own).over(base) if own else base
        base = _over(getattr(self, direction), base)
        if server is not None and self.servers is not None and server.name in self.servers:
            base = _over(getattr(self.servers[server.name], direction), base)
        if "transmit_power" in own and base.transmit_power is None:
            # a rate or a ratio leaves nothing to compute from the power, which still costs energy
            base = base._with(transmit_power=own["transmit_power"])
        return base


def _over(link: Link | None, base: Link) -> Link:
    return base if link is None else link.over(base)


class Server(Machine):
    """An edge server; ``price_per_hour`` is its rent, in any currency.

    ``links`` are those between the devices and this server, where they differ from the scenario's;
    ``seats`` is the most devices that it serves.
    """

    HINTS: ClassVar[Mapping[str, str]] = {
        "count": "a server has no count; state several machines as 'nodes', which have one, or one "
        "server with the speed of all, or each as a server of its own",
        "rate": "state it in 'links', as 'downlink' and 'uplink'",
        "downlink": "state it in 'links'",
        "uplink": "state it in 'links'",
        "speed": "state it as 'compute'",
    }

    price_per_hour: Price | None = None
    links: ServerLinks | None = None
    seats: Count | None = None


def _read_batches(value: Any) -> Any:
    """Read a list; a single number is told where it belongs."""
    if is_number(value):
        raise InputError(
            f"is {shown(value)}; one size is stated of each device, as 'devices[].batch_size'; "
            "here stands a list of those to choose from, such as [8, 16, 32]"
        )
    return value


class Training(Part):
    """Local epochs in a round, rounds in the whole training, and the order of service.

    ``server_order`` is how SplitFedV2 serves: ``client`` after client (where nothing is stated), or
    ``batch``: a batch of every client in turn. ``batch_size`` lists what each device may choose,
    for the least time to an accuracy (``time_to_accuracy``).
    """

    HINTS: ClassVar[Mapping[str, str]] = {
        "lr": "the learning rate is an option of 'splitopt train', --lr",
        "learning_rate": "it is an option of 'splitopt train', --lr",
    }

    epochs: Count = 1
    rounds: Count = 1
    server_order: Literal["client", "batch"] | None = None
    batch_size: Annotated[Choices | None, BeforeValidator(_read_batches)] = None


def _read_covered(value: Any) -> bool | str:
    """Read whose parts compute a gradient for each sample: true, false, or ``model``."""
    if value == MODEL:
        return MODEL
    try:
        return read_truth(value)
    except InputError as error:
        raise InputError(f"{error}, or {MODEL}") from None


class Privacy(Part):
    """Limits on what the server may learn: leakage of the cut is at most ``leakage_limit``.

    With ``per_sample_gradients`` devices compute a gradient for each sample, as differential
    privacy of their parts needs it, which takes work and memory; ``model`` says that the server
    does so in its part, too.
    """

    leakage_limit: Leakage | None = None
    per_sample_gradients: Annotated[bool | Literal["model"], BeforeValidator(_read_covered)] = False


class Tradeoff(Part):
    """What other goods are worth: seconds of latency that one joule of the devices is worth."""

    seconds_per_joule: Annotated[float, Field(ge=0, le=1e12), NUMBER] | None = None


class Model(Part):
    """Which model profile to use: a shipped one by name, or a file (relative to the scenario).

    Of a file that is for a batch and does not say of how many samples, ``batch_size`` says it, and
    ``unit`` what its times are in: of Piper's workloads both, of PipeDream's graphs and SplitRL's
    blocks the first.

    ``fill`` says what stands in for rows that were not measured: ``zero``, ``flop_ratio``, or for
    each machine one of these or ``{machine: OTHER}``.
    """

    profile: Name | None = None
    file: Name | None = None
    fill: str | dict[str, str | dict[str, str]] | None = None
    batch_size: Count | None = None
    unit: Literal["s", "ms"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_name(cls, value: Any) -> Any:
        return {"profile": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.profile is None) == (self.file is None):
            raise InputError("needs either 'profile' (a shipped one) or 'file' (your own)")
        for name in ("batch_size", "unit"):
            if self.file is None and getattr(self, name) is not None:
                raise InputError.at(name, "is of a 'file'; a shipped profile needs none, drop it")
        return self
