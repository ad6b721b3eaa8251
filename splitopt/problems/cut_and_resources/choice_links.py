"""The rates of the links of a scenario, at each of the powers that devices may send with.

Whoever has a share of a channel's time sends at the whole channel's rate while it is on air. So a
power has its own seconds at the full resource, and its own joules, whatever the share.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from splitopt.latency.split_federated import link_rate
from splitopt.problems.base import BoolArray, FloatArray
from splitopt.scenario import Device, Link, Scenario, Server
from splitopt.scenario.energy import PowerRange


class Uplinks(NamedTuple):
    """The uplinks of N devices to K servers with P powers.

    Parameters
    ----------
    rate
        Shape (N, K, P): bit/s of the whole link; 1 where there is none.
    power
        Shape (N, K, P): W on air, NaN where it is not known; 0 where there is no link.
    offered
        Shape (N, P): whether the device has so many powers.
    """

    rate: FloatArray
    power: FloatArray
    offered: BoolArray


def has_powers(device: Device) -> bool:
    """Whether a device chooses the power that it sends with."""
    return isinstance(device.transmit_power, PowerRange)


def uplinks_of(scenario: Scenario) -> Uplinks:
    """Return the rates and powers of all uplinks, the highest power of each device first."""
    rows, servers, steps = [*scenario.devices], scenario.servers, _steps(scenario)
    rate = np.ones((len(rows), len(servers), steps))
    power = np.zeros_like(rate)
    offered = np.zeros((len(rows), steps), dtype=np.bool_)
    for n, device in enumerate(rows):
        for k, server in enumerate(servers):
            if not device.reaches(server):
                continue
            for p, link in enumerate(_links(scenario, device, server)):
                rate[n, k, p] = link_rate(link)
                power[n, k, p] = np.nan if link.transmit_power is None else link.transmit_power
        own = device.transmit_power
        offered[n, : own.steps if isinstance(own, PowerRange) else 1] = True
    counts = [device.count for device in rows]
    rows_of = np.repeat(np.arange(len(rows)), counts)
    return Uplinks(rate[rows_of], power[rows_of], offered[rows_of])


def downlink_rates(scenario: Scenario) -> FloatArray:
    """Shape (N, K): bit/s of the whole link from each server; 1 where there is none."""

    def rate(device: Device, server: Server) -> float:
        if not device.reaches(server):
            return 1.0
        return link_rate(scenario.link(device, "downlink", server))

    rows = [*scenario.devices]
    found = [[rate(device, server) for server in scenario.servers] for device in rows]
    counts = [device.count for device in rows]
    return np.repeat(np.array(found, dtype=np.float64), counts, axis=0)


def _steps(scenario: Scenario) -> int:
    """Return the most powers that a device has."""
    stated = (device.transmit_power for device in scenario.devices)
    return max((power.steps for power in stated if isinstance(power, PowerRange)), default=1)


def power_names(scenario: Scenario) -> tuple[str, ...]:
    """Return the names of the options: they are other powers for each device."""
    steps = _steps(scenario)
    return tuple(f"power {option + 1} of {steps}" for option in range(steps))


def _links(scenario: Scenario, device: Device, server: Server) -> list[Link]:
    """Return a device's uplink to a server at each of its powers."""
    link, own = scenario.link(device, "uplink", server), device.transmit_power
    if not isinstance(own, PowerRange):
        return [link]
    return [link._with(transmit_power=power) for power in own.powers()]
