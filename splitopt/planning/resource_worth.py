"""What more of a resource saves of the objective of `CutAndResources`."""

from __future__ import annotations

from typing import Literal

import numpy as np

from splitopt.latency.split_federated import link_rate, single_server
from splitopt.planning.predictions.cut_and_resources import ResourceWorth
from splitopt.problems.base import IntArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.cut_and_resources.tradeoffs import marginal_values
from splitopt.scenario import Device, Scenario

_WAYS: tuple[Literal["downlink", "uplink"], ...] = ("downlink", "uplink")


def most_worth(problem: CutAndResources, cuts: IntArray, scenario: Scenario) -> ResourceWorth:
    """Return the row of `worth_rows` that saves most."""
    return largest(worth_rows(problem, cuts, scenario))


def largest(rows: list[ResourceWorth]) -> ResourceWorth:
    """Return the row that saves most."""
    return max(rows, key=lambda row: row.per_percent)


def worth_rows(problem: CutAndResources, cuts: IntArray, scenario: Scenario) -> list[ResourceWorth]:
    """Compute what more of each resource saves of the objective, shares chosen anew.

    Exact derivatives of the optimal value for these cuts, in the objective's unit. ``per_percent``
    is always there; ``unit`` and ``per_unit`` only where all devices share one capacity. Of the
    devices, and of links that are their own, there is the entry of the scenario that is worth most;
    of a group all devices are meant, each with so much more.
    """
    server, groups = single_server(scenario), scenario.devices
    saved = marginal_values(problem, cuts)
    edges = np.cumsum([0, *(group.count for group in groups)])[:-1]
    found = []
    for i, way in enumerate(_WAYS):
        rates = [link_rate(scenario.link(group, way)) for group in groups]
        if problem.shared_links:
            same = _only(set(rates))
            found.append(_worth_row(way, float(saved.resources[i]), same, 1e6, "Mbit/s"))
            continue
        by_group = np.add.reduceat(saved.links[:, i], edges)
        best = int(by_group.argmax())
        label = f"{way} of {_members(groups[best])}"
        found.append(_worth_row(label, float(by_group[best]), rates[best], 1e6, "Mbit/s"))
    found.append(_worth_row("server", float(saved.resources[2]), server.compute, 1e9, "GFLOP/s"))
    by_group = np.add.reduceat(saved.own, edges)
    best = int(by_group.argmax())
    label = f"device{'s' if groups[best].count > 1 else ''} {_members(groups[best])}"
    own = _worth_row(label, float(by_group[best]), groups[best].compute, 1e9, "GFLOP/s")
    return [*found, own]


def _members(group: Device) -> str:
    """Name a device, or a group with how many it has."""
    return group.name if group.count == 1 else f"{group.name} ({group.count})"


def _worth_row(
    name: str, worth: float, capacity: float | None, step: float, unit: str
) -> ResourceWorth:
    if capacity is None:
        return ResourceWorth(resource=name, per_percent=worth / 100)
    return ResourceWorth(
        resource=name,
        per_percent=worth / 100,
        capacity=capacity / step,
        unit=unit,
        per_unit=worth * step / capacity,
    )


def _only(values: set[float]) -> float | None:
    return next(iter(values)) if len(values) == 1 else None
