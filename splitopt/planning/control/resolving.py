"""A controller of any scenario: after every event it is planned anew, from the old plan on.

Events change the scenario itself, so that every problem that is planned from scenarios follows:
pipelines, common cuts, clusters, graphs over accelerators, replicated pipelines, time to accuracy.
For fleets with shares `FleetController` is faster.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from splitopt.documents.suggestions import did_you_mean
from splitopt.driver import solve
from splitopt.errors import InfeasibleError, InputError, shown
from splitopt.latency.split_federated import link_rate
from splitopt.planning.control.events import (
    DeviceJoins,
    DeviceLeaves,
    DeviceSlows,
    Event,
    RateChanges,
    ServerGoes,
    ServerSlows,
    check_events,
    in_words,
)
from splitopt.planning.control.fleet_events import LOG
from splitopt.planning.control.machine_groups import MachineGroups
from splitopt.planning.control.replan import Damping, Replan
from splitopt.planning.control.state import Refused
from splitopt.planning.explaining import explainer_of
from splitopt.planning.planner import default_problem
from splitopt.problems.base import Problem
from splitopt.problems.common_cut import CommonCutDecision
from splitopt.problems.inputs import as_scenario, expect_fleet
from splitopt.problems.pipeline_partition import PipelinePartitionDecision
from splitopt.problems.registry import problem_class
from splitopt.problems.replicated_pipeline import ReplicatedPipelineDecision
from splitopt.scenario import Device, Link, Scenario
from splitopt.scenario.accelerators import Accelerators
from splitopt.scenario.nodes import Node
from splitopt.solvers.registry import make_solver

if TYPE_CHECKING:
    from splitopt.problems.inputs import ScenarioLike

_SERVER = "server"
"""What an event calls the server unless it names it."""
_DIRECTION = {"download": "downlink", "upload": "uplink"}


@dataclass
class _Member:
    """A device, node or accelerator as it was planned, and what became of it."""

    planned: Device | Node | Accelerators
    here: bool = True
    speed: float = 1.0
    rates: dict[str, float] = field(default_factory=dict)


class ScenarioController:
    """Plans a scenario anew after every event.

    Parameters
    ----------
    scenario
        As it is now.
    problem, objective
        What is asked, by default the problem that the scenario's sections ask for and the first of
        its objectives.
    damping
        When another plan is taken, see `Damping`.
    **options
        As for `splitopt.solve`: the solver, its options, limits, a seed.

    Raises
    ------
    InputError
        The scenario or an option cannot be used.
    InfeasibleError
        There is no plan to begin with.
    """

    def __init__(
        self,
        scenario: ScenarioLike,
        problem: str | None = None,
        objective: str | None = None,
        *,
        damping: Damping | None = None,
        **options: Any,
    ) -> None:
        given = as_scenario(scenario, fleet=False)
        self._class = problem_class(problem or default_problem(given), "problem")
        if explainer_of(self._class.name).needs_fleet:
            expect_fleet(given)
        self._objective = objective or self._class.objectives[0]
        self._profile = given.load_model()
        # what a scenario leaves to the plan, such as the owners' cuts, is chosen once and stays
        explainer = explainer_of(self._class.name)(given, self._profile, self._objective)
        self._scenario = explainer.prepare()[0].scenario
        self.damping = Damping() if damping is None else damping
        self._options = options
        # of a pipeline the nodes work, of all else the devices; owners of data stay as they are
        self._nodes = bool(self._scenario.nodes)
        # of a graph alike accelerators do: all that counts is how many are there
        self._alike = self._scenario.accelerators
        # of a replicated pipeline machines of several types do
        section = self._scenario.replication
        self._machines = None if section is None else MachineGroups(section)
        self._members: dict[str, _Member] = {}
        if self._alike is not None:
            names = [f"{self._alike.name}-{n}" for n in range(1, self._alike.count + 1)]
            self._members = {name: _Member(self._alike) for name in names}
        elif self._machines is None:
            listed = self._scenario.node_list() if self._nodes else self._scenario.fleet()
            self._members = {member.name: _Member(member) for member in listed}
        self._server, self._gone = 1.0, False
        self._before: Any = None
        self.plan = self._planned((), (), time.perf_counter())
        if self.plan.decision is None:
            raise InfeasibleError(self.plan.message or "there is no plan to begin with")

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of the devices, or of the compute nodes or machines, that take part."""
        if self._machines is not None:
            return self._machines.names
        return tuple(name for name, member in self._members.items() if member.here)

    @property
    def hosts(self) -> list[list[str]] | None:
        """The machines of every stage of a replicated pipeline by name; None of other plans."""
        decision = self.plan.decision
        if self._machines is None or not isinstance(decision, ReplicatedPipelineDecision):
            return None
        return self._machines.hosts(decision)

    @property
    def scenario(self) -> Scenario:
        """The changed scenario."""
        if self._machines is not None:
            assert self._scenario.replication is not None
            section = self._machines.section(self._scenario.replication)
            return self._scenario._with(replication=section)
        if self._alike is not None:
            left = self._alike.model_copy(update={"count": len(self.devices)})
            return self._scenario._with(accelerators=left)
        changed = [self._changed(m) for m in self._members.values() if m.here]
        found = self._scenario._with(**{"nodes" if self._nodes else "devices": tuple(changed)})
        if self._server != 1.0:
            servers = tuple(
                server.model_copy(update={"compute": server.compute * self._server})
                for server in found.servers
                if server.compute is not None
            )
            found = found._with(servers=servers)
        return found

    @property
    def problem(self) -> Problem[Any]:
        """The changed problem."""
        return self._class.from_scenario(self.scenario, self._profile, self._objective)

    def apply(self, events: Event | Iterable[Event] = ()) -> Replan:
        """Plan anew after some events.

        Events about what is not known, or what this scenario states nothing of, are kept out and
        logged.

        Raises
        ------
        InputError
            What is given is no event, or a new device is not one of a scenario.
        """
        begin, happened, kept_out = time.perf_counter(), [], []
        for event in check_events(events):
            try:
                self._take(event)
            except Refused as refusal:
                kept_out.append(f"{in_words(event)}: {refusal}")
                LOG.warning("kept out: %s", kept_out[-1])
                continue
            happened.append(in_words(event))
        self.plan = self._planned(tuple(happened), tuple(kept_out), begin)
        return self.plan

    def _take(self, event: Event) -> None:
        if self._machines is not None:
            self._machines.take(event, self._scenario)
            return
        if isinstance(event, ServerSlows | ServerGoes):
            self._take_server(event)
            return
        member = self._members.get(event.device)
        if isinstance(event, DeviceJoins):
            self._join(event, member)
            return
        if member is None:
            hint = did_you_mean(event.device, list(self._members))
            raise Refused(f"{shown(event.device)} is unknown{hint}")
        if not member.here:
            raise Refused(f"{shown(event.device)} takes no part")
        if isinstance(event, DeviceLeaves):
            member.here = False
        elif self._alike is not None:
            raise Refused("its accelerators are alike; it can leave, and come back")
        elif isinstance(event, DeviceSlows):
            if member.planned.compute is None and not isinstance(member.planned, Node):
                raise Refused(f"{shown(event.device)} states no 'compute' that could change")
            member.speed = event.factor
        elif isinstance(event, RateChanges):
            if self._nodes:
                raise Refused("links between nodes are not of one node")
            if self._scenario.spectrum is not None:
                raise Refused("subcarriers carry what signal-to-noise ratios allow, not a rate")
            for name in event.factors:
                if name not in _DIRECTION:
                    raise Refused(f"{shown(name)} is unknown, there are download and upload")
            member.rates |= event.factors

    def _take_server(self, event: ServerSlows | ServerGoes) -> None:
        if self._alike is not None:
            raise Refused("there is no server; its accelerators leave one by one")
        if self._nodes or not self._scenario.servers:
            raise Refused("there is no server; its nodes slow and leave one by one")
        known = (_SERVER, self._scenario.servers[0].name)
        if event.resource not in known:
            hint = did_you_mean(event.resource, known)
            names = " or ".join(dict.fromkeys(known))
            raise Refused(f"the resource {shown(event.resource)} is unknown, it is {names}{hint}")
        if isinstance(event, ServerSlows) and self._scenario.servers[0].compute is None:
            raise Refused("the server states no 'compute' that could change")
        self._gone = isinstance(event, ServerGoes)
        if isinstance(event, ServerSlows):
            self._server = event.factor

    def _join(self, event: DeviceJoins, member: _Member | None) -> None:
        if member is not None and member.here:
            raise Refused(f"{shown(event.device)} takes part already")
        if member is None and event.numbers is None:
            raise Refused(f"{shown(event.device)} is unknown, and its numbers are not given")
        if event.numbers is not None and self._alike is not None:
            raise Refused("its accelerators are alike; leave out the numbers of one that is back")
        if event.numbers is not None:
            section = "nodes" if self._nodes else "devices"
            entry = {"name": event.device, **event.numbers}
            document = self._scenario.to_dict() | {section: [entry]}
            one = Scenario.from_dict(document, f"numbers of {event.device}")
            (found,) = one.node_list() if self._nodes else one.fleet()
            self._members[event.device] = _Member(found)
        elif member is not None:
            member.here = True

    def _changed(self, member: _Member) -> Device | Node:
        planned, update = member.planned, dict[str, Any]()
        assert not isinstance(planned, Accelerators)
        if member.speed != 1.0 and planned.compute is not None:
            update["compute"] = planned.compute * member.speed
        elif member.speed != 1.0 and isinstance(planned, Node):
            update["slowdown"] = (planned.slowdown or 1.0) / member.speed
        if isinstance(planned, Device):
            for name, factor in member.rates.items():
                direction: Any = _DIRECTION[name]
                rate = link_rate(self._scenario.link(planned, direction))
                update[direction] = Link(rate=rate * factor)
        return planned.model_copy(update=update) if update else planned

    def _planned(
        self, happened: tuple[str, ...], kept_out: tuple[str, ...], begin: float
    ) -> Replan:
        told: dict[str, Any] = {"events": happened, "kept_out": kept_out}
        reason = "no device takes part" if not self.devices else None
        if self._gone:
            reason = f"{self._class.name} needs the server; bring it back"
        problem = self.problem if reason is None else None
        reason = reason or (problem.infeasibility() if problem is not None else None)
        if reason is not None or problem is None:
            return self._without(told, np.inf, reason, begin)
        old = self._old(problem)
        kept = np.inf if old is None else problem.evaluate(old)
        options = dict(self._options)
        chosen = make_solver(problem, options.pop("solver", "auto"))
        if old is not None and chosen.can_start():
            options["start"] = old
        result = solve(problem, chosen.name, **options)
        if result.decision is None:
            return self._without(told, result.bound, result.message, begin)
        decision, objective = result.decision, result.objective
        changed: tuple[str, ...] = ()
        if old is not None and not objective < kept * (1 - self.damping.gain):
            if objective < kept and old.to_dict() != decision.to_dict():
                gain = 100 * (1 - objective / kept)
                changed = (f"kept: another plan would gain {gain:.3g} %, too little",)
            decision, objective = old, kept
        words = self._words(old, decision)
        self._before = (self._placed(decision), decision)
        return Replan(
            decision,
            self.devices,
            objective,
            min(result.bound, objective),
            **told,
            changed=(*words, *changed),
            found=result.objective,
            kept=kept,
            took_s=time.perf_counter() - begin,
            by=result.solver,
        )

    def _without(
        self, told: dict[str, Any], bound: float, message: str | None, begin: float
    ) -> Replan:
        """Return that there is no plan."""
        took = time.perf_counter() - begin
        return Replan(None, self.devices, np.inf, bound, **told, message=message, took_s=took)

    def _placed(self, decision: Any) -> Any:
        """Return who is there, of a replicated pipeline by stage: what names a decision's rows."""
        return self.devices if self._machines is None else self._machines.hosts(decision)

    def _old(self, problem: Problem[Any]) -> Any:
        """Return the last plan as one of the changed problem, None where it is none any more."""
        if self._before is None:
            return None
        names, decision = self._before
        if isinstance(decision, CommonCutDecision):
            decision = problem.complete(decision.cut)  # type: ignore[attr-defined]
        elif isinstance(decision, PipelinePartitionDecision):
            place = {name: n for n, name in enumerate(self.devices)}
            hosts = [names[node] for node in decision.assignment.tolist()]
            if any(name not in place for name in hosts):
                return None
            decision = PipelinePartitionDecision(np.array([place[name] for name in hosts]))
        elif self._machines is not None:
            decision = self._machines.moved(decision, names)
            if decision is None:
                return None
        elif names != self.devices:
            return None
        try:
            return None if problem.violations(decision) else decision
        except InputError:
            return None

    def _words(self, old: Any, new: Any) -> tuple[str, ...]:
        """Return what is different, in words."""
        if old is None:
            return ("the plan is new",)
        if isinstance(new, CommonCutDecision):
            same = old.cut == new.cut
            return (
                f"the cut stays at {new.cut}" if same else f"the cut goes {old.cut} -> {new.cut}",
            )
        if old.to_dict() == new.to_dict():
            return ("the plan stays",)
        if isinstance(new, ReplicatedPipelineDecision):
            return (f"{len(old.ends)} stages become {len(new.ends)}, or have other machines",)
        if isinstance(new, PipelinePartitionDecision):
            moved = int((old.assignment != new.assignment).sum())
            return (f"{moved} of {len(new.assignment)} layers go to other nodes",)
        return ("the plan changes",)
