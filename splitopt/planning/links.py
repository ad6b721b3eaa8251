"""What the links of a scenario mean for its devices, in one sentence."""

from __future__ import annotations

from typing import Literal

from splitopt.latency.split_federated import link_rate
from splitopt.scenario import Scenario
from splitopt.units import readable_rate

_WAYS: tuple[Literal["downlink", "uplink"], ...] = ("downlink", "uplink")


def describe_links(scenario: Scenario) -> str:
    """Return whether devices share one downlink and one uplink, and at which rates."""
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


def _rates(scenario: Scenario, way: Literal["downlink", "uplink"]) -> str:
    """Return the rate of one direction, or from which to which it is by device."""
    rates = [link_rate(scenario.link(device, way)) for device in scenario.devices]
    low, high = readable_rate(min(rates)), readable_rate(max(rates))
    return low if low == high else f"{low} to {high} by device"
