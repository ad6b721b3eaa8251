"""What the links of a scenario mean for its devices, in one sentence."""

from __future__ import annotations

from typing import Literal

from splitopt.latency.split_federated import link_rate
from splitopt.scenario import Scenario, Server
from splitopt.units import readable_rate

_WAYS: tuple[Literal["downlink", "uplink"], ...] = ("downlink", "uplink")


def describe_links(scenario: Scenario) -> str:
    """Return whether devices share one downlink and one uplink, and at which rates."""
    if len(scenario.servers) > 1:
        return _of_each_server(scenario)
    down, up = (_rates(scenario, way) for way in _WAYS)
    if scenario.links.shared:
        return f"devices share one downlink of {down} and one uplink of {up}"
    return f"every device has a downlink of its own of {down} and an uplink of its own of {up}"


def unused_in_clusters(scenario: Scenario) -> list[str]:
    """Return the note that clusters do not use ``links.shared``, where it is false."""
    if scenario.links.shared:
        return []
    return [
        "links.shared is false, which clusters do not use: the devices of a cluster share the "
        "subcarriers"
    ]


def _of_each_server(scenario: Scenario) -> str:
    """Return the sentence of several servers, each with a downlink and an uplink."""
    found = []
    for server in scenario.servers:
        down, up = (_rates(scenario, way, server) for way in _WAYS)
        found.append(f"{server.name} {down} down and {up} up")
    shared = scenario.links.shared
    how = "the devices of a server share its" if shared else "every device has its own"
    return f"{how} downlink and uplink: {', '.join(found)}"


def _rates(
    scenario: Scenario, way: Literal["downlink", "uplink"], server: Server | None = None
) -> str:
    """Return the rate of one direction, or from which to which it is by device."""
    rates = [
        link_rate(scenario.link(device, way, server))
        for device in scenario.devices
        if server is None or device.reaches(server)
    ]
    if not rates:
        return "nothing"
    low, high = readable_rate(min(rates)), readable_rate(max(rates))
    return low if low == high else f"{low} to {high} by device"
