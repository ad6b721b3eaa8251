"""Machines of several types that come, go and slow, as the types of a scenario at any moment.

Machines that are alike stay one type, so that a plan counts them and no more states have to be
searched than are different machines.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import shown
from splitopt.planning.control.events import DeviceJoins, DeviceLeaves, DeviceSlows, RateChanges
from splitopt.planning.control.state import Refused
from splitopt.problems.base import IntArray
from splitopt.problems.replicated_pipeline import ReplicatedPipelineDecision
from splitopt.scenario import Scenario
from splitopt.scenario.replication import MachineType, Replication

RATE = "rate"
"""What an event calls the rate of a machine's one interface."""


@dataclass
class _Machine:
    """A machine as it was planned, and what became of it."""

    planned: MachineType
    here: bool = True
    speed: float = 1.0
    rate: float = 1.0


@dataclass
class _Group:
    """Machines that are alike now."""

    type: MachineType
    names: list[str] = field(default_factory=list)


class MachineGroups:
    """The machines of a scenario with the section ``replication``, by name."""

    def __init__(self, section: Replication) -> None:
        self._machines = {
            name: _Machine(one.model_copy(update={"count": 1}))
            for one in section.types
            for name in one.names()
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the machines that take part."""
        return tuple(name for name, machine in self._machines.items() if machine.here)

    def take(self, event: Any, scenario: Scenario) -> None:
        """Change the machines by an event.

        Raises
        ------
        Refused
            It is about what is not known, or what these machines have not.
        InputError
            The numbers of a new machine are none of a type.
        """
        machine = self._machines.get(getattr(event, "device", ""))
        if isinstance(event, DeviceJoins):
            self._join(event, machine, scenario)
            return
        if not isinstance(event, DeviceLeaves | DeviceSlows | RateChanges):
            raise Refused("there is no server; its machines slow and leave one by one")
        if machine is None:
            hint = did_you_mean(event.device, list(self._machines))
            raise Refused(f"{shown(event.device)} is unknown{hint}")
        if not machine.here:
            raise Refused(f"{shown(event.device)} takes no part")
        if isinstance(event, DeviceLeaves):
            machine.here = False
        elif isinstance(event, DeviceSlows):
            machine.speed = event.factor
        elif set(event.factors) != {RATE}:
            name = next(name for name in event.factors if name != RATE)
            raise Refused(f"{shown(name)} is unknown, a machine has one interface and its 'rate'")
        else:
            machine.rate = event.factors[RATE]

    def section(self, planned: Replication) -> Replication:
        """Return the section with the machines that take part, as they are now."""
        types = tuple(
            group.type.model_copy(update={"count": len(group.names)}) for group in self.groups()
        )
        return planned.model_copy(update={"types": types})

    def groups(self) -> list[_Group]:
        """Return the machines that take part by what they are now, in the order of the types."""
        found: dict[Any, _Group] = {}
        for name, machine in self._machines.items():
            if not machine.here:
                continue
            key = (machine.planned.name, machine.speed, machine.rate)
            if key not in found:
                found[key] = _Group(_changed(machine))
            found[key].names.append(name)
        return list(found.values())

    def hosts(self, decision: ReplicatedPipelineDecision) -> list[list[str]]:
        """Return the names of the machines of every stage; alike ones are taken in turn."""
        left = [list(group.names) for group in self.groups()]
        return [
            [own.pop(0) for own, count in zip(left, row, strict=True) for _ in range(count)]
            for row in decision.devices.tolist()
        ]

    def moved(
        self, decision: ReplicatedPipelineDecision, hosts: list[list[str]]
    ) -> ReplicatedPipelineDecision | None:
        """Return a former decision for the machines that are here now; None where a stage has none.

        Every stage keeps its layers and what is left of its machines; newcomers are idle.

        Parameters
        ----------
        decision
            Of machines that were there before.
        hosts
            What `hosts` was of it then.
        """
        place = {name: k for k, group in enumerate(self.groups()) for name in group.names}
        counts: IntArray = np.zeros((len(hosts), len(self.groups())), dtype=np.int64)
        for stage, names in enumerate(hosts):
            for name in names:
                if name in place:
                    counts[stage, place[name]] += 1
        if not counts.sum(axis=1).all():
            return None
        return ReplicatedPipelineDecision(decision.ends, counts, decision.recompute)

    def _join(self, event: DeviceJoins, machine: _Machine | None, scenario: Scenario) -> None:
        if machine is not None and machine.here:
            raise Refused(f"{shown(event.device)} takes part already")
        if event.numbers is None:
            if machine is None:
                raise Refused(f"{shown(event.device)} is unknown, and its numbers are not given")
            machine.here = True
            return
        document = scenario.to_dict()
        entry = {**event.numbers, "name": event.device, "count": 1}
        document["replication"] = document["replication"] | {"types": [entry]}
        read = Scenario.from_dict(document, f"numbers of {event.device}").replication
        assert read is not None
        planned = scenario.replication
        if planned is not None and read.is_limited != planned.is_limited:
            word = "none" if planned.is_limited else "one"
            raise Refused(f"{shown(event.device)} states {word} of 'memory' and the others differ")
        self._machines[event.device] = _Machine(read.types[0])


def _changed(machine: _Machine) -> MachineType:
    """Return the type of a machine as it is now, with a name of its own where it has changed."""
    planned, update, words = machine.planned, dict[str, Any](), list[str]()
    if machine.speed != 1.0:
        words.append(f"speed {machine.speed:g}")
        if planned.compute is not None:
            update["compute"] = planned.compute * machine.speed
        else:
            update["slowdown"] = (planned.slowdown or 1.0) / machine.speed
    if machine.rate != 1.0:
        words.append(f"rate {machine.rate:g}")
        update["rate"] = planned.rate * machine.rate
    if words:
        update["name"] = f"{planned.name} at {', '.join(words)}"
    return planned.model_copy(update=update) if update else planned
