"""What more of each server, its links and the devices saves of the objective, where many serve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from splitopt.latency.split_federated import link_rate
from splitopt.planning.predictions.cut_and_resources import ResourceWorth, ServerUse
from splitopt.planning.resource_worth import worth_row
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources.assigned import Assigned
from splitopt.problems.cut_and_resources.choice_decision import ChoiceDecision
from splitopt.problems.cut_and_resources.choice_tables import PER_SERVER, ScenarioChoices
from splitopt.problems.cut_and_resources.completion import best_allocation
from splitopt.problems.cut_and_resources.problem import ChoicesAndResources
from splitopt.problems.cut_and_resources.tradeoff_fields import PRICED
from splitopt.scenario import Scenario, Server
from splitopt.scenario.device_columns import DeviceColumns

_WAYS = ("downlink", "uplink")


def choice_worth_rows(
    problem: ChoicesAndResources,
    choices: ScenarioChoices,
    decision: ChoiceDecision,
    scenario: Scenario,
) -> list[ResourceWorth]:
    """Compute what more of each resource saves of the objective for these choices.

    Exact derivatives of the optimal value, as `resource_worth.worth_rows` has them; of links that
    are the devices' own, and of the devices, there is the entry that is worth most. Faster links
    and devices also spend less energy, where that counts.
    """
    shared, own = _derivatives(problem, choices, decision)
    found = []
    for k, server in enumerate(scenario.servers):
        for place, way in enumerate(_WAYS if choices.shared_links else ()):
            worth = float(shared[PER_SERVER * k + place])
            rate = _common_rate(scenario, server, way)
            found.append(worth_row(f"{way} of {server.name}", worth, rate, "bit/s"))
        worth = float(shared[PER_SERVER * k + 2])
        found.append(worth_row(f"server {server.name}", worth, server.compute, "FLOP/s"))
    if not choices.shared_links:
        for place, way in enumerate(_WAYS):
            label, worth, _ = _best(scenario, own[place])
            found.append(worth_row(f"{way} of {label}", worth, None, "bit/s"))
    label, worth, speed = _best(scenario, own[3])
    return [*found, worth_row(label, worth, speed, "FLOP/s")]


def _derivatives(
    problem: ChoicesAndResources, choices: ScenarioChoices, decision: ChoiceDecision
) -> tuple[FloatArray, FloatArray]:
    """Return minus the derivatives by the logarithms of resources (R,) and of phases (4, N)."""
    rows = np.arange(problem.devices)
    seconds = choices.seconds[:, rows, decision.choice]
    shared, own = np.zeros(len(problem.resources)), np.zeros_like(seconds)
    if problem.objective != "energy":
        allocation = best_allocation(problem, decision.cut)
        priority = 1.0 if problem.priority is None else problem.priority
        shared += allocation.worth
        own += allocation.weight * priority * seconds
    if problem.objective in PRICED:
        assert choices.powers is not None  # the objective needs them
        price = 1.0 if problem.objective == "energy" else problem.seconds_per_joule or 0.0
        computing, sending = choices.powers[:, rows, decision.choice]
        own[3] += price * computing * seconds[3]
        spent = price * sending * seconds[1]
        if choices.shared_links:
            np.add.at(shared, choices.columns()[decision.choice, 1], spent)
        else:
            own[1] += spent
    return shared, own


def server_rows(given: Assigned, scenario: Scenario) -> list[ServerUse]:
    """Return how many devices each server has, and the longest of their rounds."""
    assert given.server is not None  # the caller saw to it
    rounds, found = given.phases.sum(axis=1), []
    for k, server in enumerate(scenario.servers):
        here = given.server == k
        found.append(
            ServerUse(
                name=server.name,
                devices=int(here.sum()),
                seats=server.seats,
                total_s=float(rounds[here].sum()),
                round_s=float(rounds[here].max()) if here.any() else None,
            )
        )
    return found


def _common_rate(scenario: Scenario, server: Server, way: str) -> float | None:
    """Return the rate of the links to a server, None if devices have different ones."""
    devices: Sequence[object] = scenario.devices
    if isinstance(devices, DeviceColumns):
        return None
    rates = {
        link_rate(scenario.link(device, way, server))  # type: ignore[arg-type]
        for device in scenario.devices
        if device.reaches(server)
    }
    return rates.pop() if len(rates) == 1 else None


def _best(scenario: Scenario, worth: FloatArray) -> tuple[str, float, float | None]:
    """Return the group of devices that is worth most, in words, its worth, and its speed."""
    edges: IntArray = np.cumsum([0, *(device.count for device in scenario.devices)])[:-1]
    sums = np.add.reduceat(worth, edges)
    best = int(sums.argmax())
    device = scenario.devices[best]
    many = f" ({device.count})" if device.count > 1 else ""
    label = f"device{'s' if device.count > 1 else ''} {device.name}{many}"
    return label, float(sums[best]), device.compute
