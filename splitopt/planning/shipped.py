"""What there is to plan: the shipped scenarios, a row each."""

from __future__ import annotations

from dataclasses import dataclass

from splitopt.planning.planner import default_problem
from splitopt.scenario import Scenario, scenario_names


@dataclass(frozen=True)
class ListedScenario:
    """A row of ``splitopt scenarios``.

    Parameters
    ----------
    name
        By which `splitopt.plan` and every verb that takes a scenario know it.
    problem
        The one that `splitopt.plan` asks of it.
    model
        The profile.
    devices, nodes
        How many there are, groups counted whole.
    note
        What it is for.
    """

    name: str
    problem: str
    model: str
    devices: int
    nodes: int
    note: str


def listed_scenarios() -> list[ListedScenario]:
    """Return a row for every shipped scenario."""
    return [_row(name, Scenario.load(name)) for name in scenario_names()]


def _row(name: str, scenario: Scenario) -> ListedScenario:
    return ListedScenario(
        name=name,
        problem=default_problem(scenario),
        model=scenario.model.profile or str(scenario.model.file),
        devices=scenario.device_count(),
        nodes=len(scenario.node_list()),
        note=scenario.note or "",
    )
