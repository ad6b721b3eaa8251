"""What more of a resource saves of the objective of `CutAndResources`."""

from __future__ import annotations

from typing import Literal

import numpy as np

from splitopt.latency.groups import FleetGroups, groups_of
from splitopt.latency.split_federated import single_server
from splitopt.planning.predictions.cut_and_resources import ResourceWorth
from splitopt.problems.base import IntArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.cut_and_resources.tradeoffs import Marginal, marginal_values
from splitopt.scenario import Scenario

_WAYS = ("downlink", "uplink")
_PREFIXES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_USUAL = {"bit/s": "M", "FLOP/s": "G"}


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
    saved, groups = marginal_values(problem, cuts), groups_of(scenario)
    edges = np.cumsum([0, *groups.count.tolist()])[:-1]
    by_group = Marginal(
        saved.resources,
        np.add.reduceat(saved.own, edges),
        np.add.reduceat(saved.links, edges),
    )
    return rows_of_groups(problem, by_group, groups, scenario)


def rows_of_groups(
    problem: CutAndResources, saved: Marginal, groups: FleetGroups, scenario: Scenario
) -> list[ResourceWorth]:
    """Return the rows of `worth_rows` from what more saves by group."""
    server, found = single_server(scenario), []
    for i, (way, rates) in enumerate(zip(_WAYS, (groups.downlink, groups.uplink), strict=True)):
        if problem.shared_links:
            same = float(rates[0]) if (rates == rates[0]).all() else None
            found.append(worth_row(way, float(saved.resources[i]), same, "bit/s"))
            continue
        best = int(saved.links[:, i].argmax())
        label = f"{way} of {_members(groups, best)}"
        worth = float(saved.links[best, i])
        found.append(worth_row(label, worth, float(rates[best]), "bit/s"))
    found.append(worth_row("server", float(saved.resources[2]), server.compute, "FLOP/s"))
    best = int(saved.own.argmax())
    label = f"device{'s' if groups.count[best] > 1 else ''} {_members(groups, best)}"
    speed = float(groups.compute[best])
    stated = None if np.isnan(speed) else speed
    return [*found, worth_row(label, float(saved.own[best]), stated, "FLOP/s")]


def _members(groups: FleetGroups, index: int) -> str:
    """Name a device, or a group with how many it has."""
    name, count = groups.names[index], int(groups.count[index])
    return name if count == 1 else f"{name} ({count})"


def worth_row(
    name: str, worth: float, capacity: float | None, base: Literal["bit/s", "FLOP/s"]
) -> ResourceWorth:
    """Return the row of a resource with a derivative by the logarithm of its capacity.

    Parameters
    ----------
    worth
        Minus that derivative, in the objective's unit.
    capacity
        In the unit `base`; None where it is not one number.
    """
    if capacity is None:
        return ResourceWorth(resource=name, per_percent=worth / 100)
    step, unit = _unit_for(capacity, base)
    return ResourceWorth(
        resource=name,
        per_percent=worth / 100,
        capacity=capacity / step,
        unit=unit,
        per_unit=worth * step / capacity,
    )


def _unit_for(capacity: float, base: str) -> tuple[float, str]:
    """Return the size and the name of a unit in which a capacity is easy to read.

    That is the usual one, Mbit/s or GFLOP/s, up to a million of it.
    """
    usual = _USUAL[base]
    if 0.1 * _PREFIXES[usual] <= capacity < 1e6 * _PREFIXES[usual]:
        return _PREFIXES[usual], f"{usual}{base}"
    fitting = [prefix for prefix, size in _PREFIXES.items() if size <= capacity]
    prefix = fitting[-1] if fitting else ""
    return _PREFIXES[prefix], f"{prefix}{base}"
