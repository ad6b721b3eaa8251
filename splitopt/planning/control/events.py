"""What happens to a fleet while it trains: small values, checked when they are made.

Factors are of what a device or the server was planned with, not of what it was a moment ago: the
same event twice changes nothing more, and a factor of 1 takes everything back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from splitopt.errors import InputError, shown
from splitopt.problems.arrays import number

LEAST_FACTOR, MOST_FACTOR = 1e-9, 1e9


def _factor(value: Any, source: str) -> float:
    found = number(value, source, "a factor", positive=True)
    if not LEAST_FACTOR <= found <= MOST_FACTOR:
        raise InputError.at(
            source, f"is {found:g}, it must be from {LEAST_FACTOR:g} to {MOST_FACTOR:g}"
        )
    return found


def _check_device(name: Any) -> None:
    if not isinstance(name, str) or not name:
        raise InputError.at("device", f"is {shown(name)}, it must be the name of a device")


@dataclass(frozen=True)
class DeviceJoins:
    """A device takes part: one that left comes back, or a new one with its numbers.

    Parameters
    ----------
    device
        Its name.
    numbers
        For a new one. To a `FleetController`: a row of each table of the problem, shape (L,), by
        the table's name, such as ``download_s``, and ``allowed`` where not all cuts are;
        `FleetController.row_of` makes it of a scenario's device. To a `ScenarioController`: the
        device as in a scenario's file.
    """

    device: str
    numbers: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        _check_device(self.device)
        if self.numbers is not None and not isinstance(self.numbers, Mapping):
            raise InputError.at("numbers", "must be values by the names of fields or tables")


@dataclass(frozen=True)
class DeviceLeaves:
    """A device takes part no more."""

    device: str

    def __post_init__(self) -> None:
        _check_device(self.device)


@dataclass(frozen=True)
class DeviceSlows:
    """A device computes at ``factor`` times its planned speed: 0.5 is half as fast."""

    device: str
    factor: float

    def __post_init__(self) -> None:
        _check_device(self.device)
        _factor(self.factor, "factor")


@dataclass(frozen=True)
class RateChanges:
    """A device's rates are ``factors`` times the planned ones.

    Parameters
    ----------
    device
        Its name.
    factors
        Resource -> factor: ``download`` and ``upload`` of cuts, any shared resource of choices.
    """

    device: str
    factors: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_device(self.device)
        if not isinstance(self.factors, Mapping) or not self.factors:
            raise InputError.at("factors", "must name a resource and its factor at least")
        for name, value in self.factors.items():
            _factor(value, f"factors[{shown(name)}]")


@dataclass(frozen=True)
class ServerSlows:
    """A server computes at ``factor`` times its planned speed; 1 is as planned."""

    factor: float
    resource: str = "server"

    def __post_init__(self) -> None:
        _factor(self.factor, "factor")


@dataclass(frozen=True)
class ServerGoes:
    """A server is not there: only what needs nothing of it can be chosen, until it is back.

    `ServerSlows` with a factor, 1 as planned, brings it back.
    """

    resource: str = "server"


Event: TypeAlias = DeviceJoins | DeviceLeaves | DeviceSlows | RateChanges | ServerSlows | ServerGoes


def in_words(event: Event) -> str:
    """Return an event as a phrase."""
    if isinstance(event, DeviceJoins):
        return f"{event.device} joins"
    if isinstance(event, DeviceLeaves):
        return f"{event.device} leaves"
    if isinstance(event, DeviceSlows):
        return f"{event.device} computes at {event.factor:g} times its speed"
    if isinstance(event, RateChanges):
        rates = ", ".join(f"{name} {value:g}" for name, value in event.factors.items())
        return f"{event.device} has other rates ({rates} times the planned)"
    if isinstance(event, ServerSlows):
        return f"the {event.resource} works at {event.factor:g} times its speed"
    return f"the {event.resource} is gone"


def check_events(events: Any) -> tuple[Event, ...]:
    """Return events as a tuple: one, or several.

    Raises
    ------
    InputError
        One of them is no event.
    """
    kinds = Event.__args__
    if isinstance(events, kinds):
        return (events,)
    if isinstance(events, str | Mapping) or not hasattr(events, "__iter__"):
        raise InputError.at(
            "events", f"is {shown(events)}, it must be events, such as DeviceLeaves"
        )
    found = tuple(events)
    for index, event in enumerate(found):
        if not isinstance(event, kinds):
            names = ", ".join(kind.__name__ for kind in kinds)
            raise InputError.at(f"events[{index}]", f"is {shown(event)}, it must be one of {names}")
    return found
