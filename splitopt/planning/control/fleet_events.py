"""What happens to a fleet with shares: which events are taken, and the numbers of newcomers."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from splitopt.errors import InputError, shown
from splitopt.planning.control.events import Event, in_words
from splitopt.planning.control.state import FleetState, Refused
from splitopt.problems.cut_and_resources.tables import tables_from_scenario
from splitopt.scenario import Scenario

LOG = logging.getLogger("splitopt.control")
"""Told, at level WARNING, of events that are kept out."""

_NUMBERS = ("download_s", "upload_s", "server_s", "device_s", "allowed")
_OPTIONAL = ("priority", "device_w", "radio_w")


class Taken(NamedTuple):
    """Events that a state has noted.

    Parameters
    ----------
    happened, kept_out
        Those that it took, and those about what it does not know, in words.
    rows
        The devices whose numbers changed, None for all.
    """

    happened: tuple[str, ...]
    kept_out: tuple[str, ...]
    rows: list[int] | None


def take_events(state: FleetState, events: Sequence[Event]) -> Taken:
    """Note events in a state; those about unknown devices or resources are kept out and logged.

    Raises
    ------
    InputError
        The numbers of a new device do not fit.
    """
    happened, kept_out = [], []
    rows: list[int] | None = []
    for event in events:
        try:
            changed = state.take(event)
        except Refused as refusal:
            text = f"{in_words(event)}: {refusal}"
            LOG.warning("kept out: %s", text)
            kept_out.append(text)
            continue
        happened.append(in_words(event))
        rows = None if rows is None or changed is None else [*rows, *changed]
    return Taken(tuple(happened), tuple(kept_out), rows)


def newcomer(scenario: Scenario, device: Mapping[str, Any], state: FleetState) -> dict[str, Any]:
    """Return the ``numbers`` of a `DeviceJoins` for a device as in a scenario's file.

    Raises
    ------
    InputError
        The device does not fit into the scenario.
    """
    one = Scenario.from_dict(scenario.to_dict() | {"devices": [dict(device)]}, "device")
    one._folder = scenario._folder
    tables = tables_from_scenario(one, one.load_model())
    found = {name: tables[name][0] for name in _NUMBERS}
    for name in _OPTIONAL:
        if getattr(state.problem, name) is not None:
            value = tables[name]
            found[name] = 1.0 if value is None else value[0]
    return found


def names_of(names: Sequence[str] | None, devices: int) -> list[str]:
    """Return the names of so many devices, ``device-1`` to ``device-N`` by default.

    Raises
    ------
    InputError
        There is not one for each, one is no text, or one stands twice.
    """
    if names is None:
        return [f"device-{n + 1}" for n in range(devices)]
    found = list(names)
    if len(found) != devices:
        raise InputError.at("names", f"has {len(found)} names for {devices} devices; give each one")
    if any(not isinstance(name, str) or not name for name in found):
        raise InputError.at("names", "must be texts")
    if len(set(found)) != devices:
        twice = next(name for name in found if found.count(name) > 1)
        raise InputError.at("names", f"has {shown(twice)} twice")
    return found
