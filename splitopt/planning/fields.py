"""Which fields of a scenario a plan did not use: stated, and without any effect on it.

Every problem declares what it uses (``used`` of its explainer); whatever else a scenario states is
named in the plan's notes, so that nothing is accepted and then silently ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Literal

from pydantic import BaseModel

from splitopt.profiles import ModelProfile
from splitopt.scenario import Device, Link, Scenario, Server
from splitopt.scenario.energy import PowerRange

Direction = Literal["downlink", "uplink"]
DIRECTIONS: tuple[Direction, ...] = ("downlink", "uplink")

_Way = tuple[Device, Direction, Server | None]
"""A device's link in one direction, to a server; to the only one if None."""

_LABELS = ("name", "note", "format", "version", "guesses", "data")
"""Words for people, and what counts for training alone."""
_WHOLE = (
    "servers",
    "nodes",
    "pipeline",
    "spectrum",
    "clusters",
    "distributions",
    "tradeoff",
    "robust",
    "generators",
    "time_to_accuracy",
    "precision",
    "adapters",
    "energy",
    "accelerators",
    "replication",
)
"""Sections that are named as a whole where nothing of them is used."""
_OWN = ("channel_gain", "snr")
_SIGNAL = ("transmit_power", "channel_gain", "noise_density")


def stated_fields(scenario: Scenario) -> list[str]:
    """Name the fields that a scenario states other than by default, such as ``devices[].memory``.

    Names and notes of things are left out.
    """
    return list(dict.fromkeys(_stated(scenario, "")))


def unused_note(scenario: Scenario, used: Iterable[str]) -> list[str]:
    """Return a note that names the stated fields that are not used, none where all are.

    Parameters
    ----------
    used
        Fields, or sections with all that they hold.
    """
    known = tuple(used)
    unused = [
        field
        for field in stated_fields(scenario)
        if not any(field == name or field.startswith((f"{name}.", f"{name}[")) for name in known)
    ]
    for section in _WHOLE:
        inside = [field for field in unused if _within(field, section)]
        every = [field for field in stated_fields(scenario) if _within(field, section)]
        if inside and inside == every:
            unused[unused.index(inside[0])] = section
            unused = [field for field in unused if field not in inside[1:]]
    return [f"not used here: {', '.join(unused)}"] if unused else []


def model_fields(scenario: Scenario, profile: ModelProfile) -> set[str]:
    """Name the fields of the model; how to fill counts where a machine in use was filled."""
    machines = {part.machine for part in (*scenario.devices, *scenario.servers, *scenario.nodes)}
    filled = {fill.partition(":")[0] for fill in profile.provenance.fills} & machines
    of_file = {"model.file", "model.batch_size", "model.unit"}
    always = {"model.profile", *of_file, "privacy.per_sample_gradients"}
    return {*always, *(("model.fill",) if filled else ())}


def rate_fields(scenario: Scenario) -> set[str]:
    """Name the fields that the rates of the devices' links follow from."""
    found: set[str] = set()
    servers: Sequence[Server | None] = scenario.servers or [None]
    for device, direction, server in product(scenario.devices, DIRECTIONS, servers):
        if server is not None and not device.reaches(server):
            continue
        way: _Way = (device, direction, server)
        if scenario.link(*way).rate is not None:
            found.add(_source(scenario, way, "rate"))
            continue
        found.add(_source(scenario, way, "bandwidth"))
        found |= _signal(scenario, way)
    return found


def signal_fields(scenario: Scenario) -> set[str]:
    """Name the fields that the signal-to-noise ratios of the devices' links follow from."""
    return {
        field
        for device in scenario.devices
        for direction in DIRECTIONS
        for field in _signal(scenario, (device, direction, None))
    }


def power_fields(scenario: Scenario) -> set[str]:
    """Name the fields of the energy of a round, none where a power is missing and it is unknown."""
    known = all(
        device.compute_power is not None
        and scenario.link(device, "uplink").transmit_power is not None
        for device in scenario.devices
    )
    if not known:
        return set()
    sent = {
        _source(scenario, (device, "uplink", None), "transmit_power") for device in scenario.devices
    }
    return {"devices[].compute_power", *sent}


def leakage_fields(scenario: Scenario) -> set[str]:
    """Name the fields of the leakage limits; one of all counts where a device has none."""
    shared = any(device.leakage_limit is None for device in scenario.devices)
    return {"devices[].leakage_limit", *(("privacy",) if shared else ())}


def _stated(part: BaseModel, place: str) -> Iterator[str]:
    for name, field in type(part).model_fields.items():
        value, path = getattr(part, name), f"{place}{name}"
        if name in _LABELS:
            continue
        if isinstance(value, BaseModel):
            yield from _stated(value, f"{path}.")
        elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
            for item in value:
                yield from _stated(item, f"{path}[].")
        elif field.is_required() or value != field.default:
            yield path


def _within(field: str, section: str) -> bool:
    return field.startswith((f"{section}.", f"{section}["))


def _signal(scenario: Scenario, way: _Way) -> set[str]:
    needed = _SIGNAL if scenario.link(*way).snr is None else ("snr",)
    return {_source(scenario, way, name) for name in needed}


def _source(scenario: Scenario, way: _Way, name: str) -> str:
    """Name the field that gives a number of a device's link, see `Device.link`."""
    device, direction, server = way
    if server is None and len(scenario.servers) == 1:
        server = scenario.servers[0]
    there = None if server is None else (device.servers or {}).get(server.name)
    if there is not None and _states(getattr(there, direction), name):
        return "devices[].servers"
    override = getattr(device, direction)
    if override is not None and getattr(override, name) is not None:
        return f"devices[].{direction}.{name}"
    own = name in _OWN or (name == "transmit_power" and direction == "uplink")
    if own and (stated := getattr(device, name)) is not None:
        return f"devices[].{name}" + (".max" if isinstance(stated, PowerRange) else "")
    links = None if server is None else server.links
    if links is not None and _states(getattr(links, direction), name):
        return f"servers[].links.{direction}.{name}"
    if getattr(getattr(scenario.links, direction), name) is not None:
        return f"links.{direction}.{name}"
    return "spectrum.bandwidth"


def _states(link: Link | None, name: str) -> bool:
    return link is not None and getattr(link, name) is not None
