"""The clocks that devices of a scenario may choose, what they draw, and the limits on energy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from splitopt.errors import InputError
from splitopt.problems.base import BoolArray, FloatArray
from splitopt.scenario import Device, Scenario

ENERGY, CARBON = "energy", "carbon"


def clocks_of(scenario: Scenario) -> FloatArray:
    """Shape (N, F): the clock of each option, the device's highest first; NaN where it has fewer.

    Where energy has a price, the last option is the best clock for it: the device's own seconds
    w t / f and rho P f^2 t joules are least together at f = (w / (2 rho P))^(1/3), at any cut and
    server; within its range it is the best of all clocks for the sum of latencies and energy.
    """
    fleet, price = scenario.fleet(), scenario.tradeoff.seconds_per_joule
    ranges = [device.frequency for device in fleet]
    steps = max((one.steps for one in ranges if one is not None), default=1)
    priced = steps > 1 and price is not None and price > 0
    found = np.full((len(fleet), steps + priced), np.nan)
    for row, device, own in zip(found, fleet, ranges, strict=True):
        if own is None:
            row[0] = 1.0
            continue
        row[: own.steps] = own.clocks()
        if priced and device.compute_power:
            assert price is not None
            best = (_weight(device) / (2 * price * device.compute_power)) ** (1 / 3)
            row[-1] = min(max(best, own.min), own.max)
    return found


def clock_names(clocks: FloatArray) -> tuple[str, ...]:
    """Return the names of the options: they are other clocks for each device."""
    return tuple(f"clock {option + 1} of {clocks.shape[1]}" for option in range(clocks.shape[1]))


def energy_budgets(scenario: Scenario, energy: FloatArray | None) -> list[dict[str, Any]]:
    """Return the limits on joules and grams of all devices as budgets; `energy`, shape (N, O)."""
    limits, found = scenario.energy, []
    if limits is None:
        return []
    known = _known(scenario, energy)
    if limits.limit_joule is not None:
        found.append({"name": ENERGY, "use": known, "limit": limits.limit_joule})
    if limits.carbon_limit_grams is not None:
        rate = limits.grams_per_joule
        assert rate is not None  # the scenario saw to it
        found.append({"name": CARBON, "use": rate * known, "limit": limits.carbon_limit_grams})
    return found


def within_energy(scenario: Scenario, energy: FloatArray | None, allowed: BoolArray) -> BoolArray:
    """Shape (N, O): what is allowed, and within the energy that each device may spend."""
    limit = None if scenario.energy is None else scenario.energy.device_limit_joule
    return allowed if limit is None else allowed & (_known(scenario, energy) <= limit)


def _known(scenario: Scenario, energy: FloatArray | None) -> FloatArray:
    if energy is not None:
        return energy
    lacking = _without(scenario.devices, "compute_power") or "the transmit_power of a link"
    raise InputError.at(
        "energy", f"limits what is not known without all powers: there is no {lacking}"
    )


def _without(devices: Sequence[Device] | Any, name: str) -> str | None:
    missing = [device.name for device in devices if getattr(device, name) is None]
    return f"{name} of {', '.join(missing[:8])}" if missing else None


def _weight(device: Device) -> float:
    return 1.0 if device.priority is None else device.priority
