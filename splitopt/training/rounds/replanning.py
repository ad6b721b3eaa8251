"""Rounds whose plan follows: before each, cuts and shares for the rates of the round before.

A trace of rates says what every round really is. The controller sees a round's rates when it is
over, and the next round is trained by the plan that it then makes. Where a copy of the whole model
is cut changes nothing of what it learns, so that cuts may change between rounds in which all copies
are averaged; optimizers keep their moments, parameter by parameter.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from splitopt.distributions import read_trace, write_trace
from splitopt.errors import InputError
from splitopt.planning.control.fleet import FleetController
from splitopt.planning.control.rates import COLUMNS, events_of, rounds_of
from splitopt.planning.control.replan import Replan
from splitopt.planning.control.state import FleetState
from splitopt.plans import digest
from splitopt.problems.cut_and_resources import CutAndResources, CutAndResourcesDecision
from splitopt.simulation.replay import Replay, simulate_decision
from splitopt.training.preparing.matching import cut_numbers
from splitopt.training.preparing.prepare import Prepared
from splitopt.training.program import Program, cut_name
from splitopt.training.rounds.clock import RoundTime
from splitopt.training.rounds.critical_path import seconds_by_phase
from splitopt.training.schedule import Schedule
from splitopt.training.schemes.naming import is_own
from splitopt.training.schemes.splitfed_v1 import SplitFedV1

_UNFIT = (
    ("client_fraction", None, "some clients take part in a round"),
    ("aggregation_interval", 1, "device parts stay on the devices between averages"),
    ("as_published", False, "the authors' order is kept"),
    ("fed_server", False, "a fed server averages"),
    ("privacy", None, "gradients are clipped where a model is cut"),
    ("pixel_dp", None, "noise is added where a model is cut"),
    ("nopeek", 0.0, "the loss is of where a model is cut"),
    ("remembering", None, "something is kept against forgetting"),
)
"""Options under which cuts do not change, the value of each that is none, and why."""


def trace_digest(path: str | Path) -> str:
    """Return the SHA-256 that names the rates of a trace."""
    trace = read_trace(path, COLUMNS)
    return digest({"devices": list(trace.devices), "rounds": write_trace(trace)})


class Replanning:
    """The plan of every round, and what the round takes.

    Parameters
    ----------
    prepared
        What is trained.
    schedule
        Names the trace.

    Raises
    ------
    InputError
        Plans of this kind, the scheme or an option do not let the plan change, or the trace does
        not fit.
    """

    def __init__(self, prepared: Prepared, schedule: Schedule) -> None:
        assert schedule.replan is not None
        program, scheme = prepared.program, prepared.scheme
        problem, decision = program.opened.problem, program.opened.decision
        fits = isinstance(scheme, SplitFedV1) and is_own(type(scheme))
        if not (
            fits
            and isinstance(problem, CutAndResources)
            and isinstance(decision, CutAndResourcesDecision)
        ):
            raise InputError.at(
                "replan",
                "is for plans of cut_and_resources that splitfed_v1 trains, whose cuts and shares "
                f"may change between rounds, not for {program.problem} trained by {scheme.name}",
            )
        for name, nothing, why in _UNFIT:
            if getattr(scheme.options, name) != nothing:
                raise InputError.at("replan", f"does not go with {name}, by which {why}")
        if scheme.options.has_codecs:
            raise InputError.at("replan", "does not go with codecs, which are planned for one cut")
        self._prepared, self._scheme = prepared, scheme
        scenario = program.scenario
        self._rounds = rounds_of(read_trace(schedule.replan, COLUMNS), scenario)
        wanted = program.rounds if schedule.rounds is None else schedule.rounds
        if len(self._rounds) < wanted:
            raise InputError.at(
                "replan",
                f"has {len(self._rounds)} rounds, and {wanted} are trained; give a row for each",
            )
        self._names = [device.name for device in scenario.fleet()]
        # cuts that the model to be trained does not have are not allowed
        names = [cut_name(program.profile, cut) for cut in range(1, problem.layers + 1)]
        there = [all(name in prepared.split.cuts for name in own) for own in names]
        self._problem = problem.restricted(problem.allowed & there)
        self.controller = FleetController(self._problem, self._names, decision=decision)
        self.plan: Replan = self.controller.plan
        self._seen = 0
        self._known: tuple[int, Replay] | None = None

    def begin(self, number: int) -> None:
        """Plan a round (0, 1, ...) by the rates of those before it, and cut the copies so."""
        while self._seen < number:
            self.plan = self.controller.apply(events_of(self._rounds[self._seen], self._names))
            self._seen += 1
        program, decision = self._prepared.program, self.plan.decision
        assert isinstance(decision, CutAndResourcesDecision)
        cuts: dict[str, tuple[int, ...]] = {}
        for name, cut in zip(self._names, decision.cut.tolist(), strict=True):
            own = cut_name(program.profile, cut)
            cuts[name] = cut_numbers(self._prepared.split, own)
        scheme: Any = self._scheme
        scheme.recut(cuts)

    def round(self, number: int) -> RoundTime:
        """Return what the round takes by its plan under its own rates."""
        timeline = self._replay(number).timeline
        return RoundTime(timeline.makespan_s, seconds_by_phase(timeline))

    def program(self, number: int) -> Program:
        """Return what the round that has begun asks of whoever trains it: its cuts and seconds."""
        program, decision = self._prepared.program, self.plan.decision
        assert isinstance(decision, CutAndResourcesDecision)
        clients = tuple(
            replace(client, cuts=cut_name(program.profile, cut))
            for client, cut in zip(program.clients, decision.cut.tolist(), strict=True)
        )
        found = self._replay(number)
        return replace(program, clients=clients, _predict=lambda _: found)

    def _replay(self, number: int) -> Replay:
        """Simulate the round that has begun, by its plan under its own rates."""
        if self._known is not None and self._known[0] == number:
            return self._known[1]
        state = FleetState(self._problem, self._names)
        for event in events_of(self._rounds[number], self._names):
            state.take(event)
        truth = state.changed(state.here, with_budgets=True)
        program, decision = self._prepared.program, self.plan.decision
        assert decision is not None  # no event of a trace takes a device or the server away
        found = simulate_decision(
            truth, decision, scenario=program.scenario, profile=program.profile
        )
        self._known = number, found
        return found

    def words(self, number: int) -> dict[str, float]:
        """Return what a row says of the plan: its gap, its objective, and who changed its cut."""
        moved = len(self.plan.moved or {}) if number else 0
        return {"gap": self.plan.gap, "objective": self.plan.objective, "moved": float(moved)}
