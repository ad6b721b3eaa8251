"""Fleets in which no cut is best for all, and the events that happen to them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from splitopt import CutAndResources
from splitopt.planning.control.events import (
    DeviceJoins,
    DeviceLeaves,
    DeviceSlows,
    Event,
    RateChanges,
    ServerSlows,
)
from splitopt.planning.control.fleet import FleetController

LAYERS = 10


def fleet(seed: int, devices: int, objective: str, layers: int = LAYERS) -> CutAndResources:
    """Return a fleet whose device seconds are of the order of what all others add to a share."""
    rng = np.random.default_rng(seed)
    x = np.arange(1, layers + 1) / layers
    shapes = (2 * (1 - x) + 0.1, 3 * (1 - x) + 0.1, 2 * (1 - x), 0.8 * devices * x)
    size = rng.uniform(0.5, 2, (devices, 1))
    rows = [size * shape * rng.uniform(0.6, 1.4, (devices, layers)) for shape in shapes]
    return CutAndResources(*rows, objective=objective)


def _some(controller: FleetController, rng: np.random.Generator, many: int) -> list[str]:
    names = controller.devices
    return [names[n] for n in rng.integers(0, len(names), many)]


def slows(controller: FleetController, rng: np.random.Generator) -> list[Event]:
    """Slow a device down."""
    return [DeviceSlows(name, 0.5) for name in _some(controller, rng, 1)]


def rates(controller: FleetController, rng: np.random.Generator) -> list[Event]:
    """Change the uplinks of 1 % of all devices."""
    many = max(1, len(controller.devices) // 100)
    return [
        RateChanges(name, {"upload": float(np.exp(rng.normal(0, 0.5)))})
        for name in _some(controller, rng, many)
    ]


def leaves(controller: FleetController, rng: np.random.Generator) -> list[Event]:
    """Remove a device."""
    return [DeviceLeaves(name) for name in _some(controller, rng, 1)]


def joins(controller: FleetController, rng: np.random.Generator) -> list[Event]:
    """Remove a device, in a re-plan of its own, and add it again."""
    (name,) = _some(controller, rng, 1)
    controller.apply(DeviceLeaves(name))
    return [DeviceJoins(name)]


def server(controller: FleetController, rng: np.random.Generator) -> list[Event]:  # noqa: ARG001
    """Change the server's speed."""
    return [ServerSlows(float(np.exp(rng.normal(0, 0.4))))]


EVENTS: dict[str, Callable[[FleetController, np.random.Generator], list[Event]]] = {
    "a device slows": slows,
    "1 % of the rates change": rates,
    "a device leaves": leaves,
    "a device joins": joins,
    "the server slows": server,
}
