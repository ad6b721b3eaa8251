"""Rounds whose plan follows: before each, cuts and shares for the rates of the round before.

A trace of rates says what every round really is. The controller sees a round's rates when it is
over, or learns them from what the round's tasks took, and the next round is trained by the plan
that it then makes. Where a copy of the whole model is cut changes nothing of what it learns, so
that cuts may change between rounds in which all copies are averaged; optimizers keep their moments,
parameter by parameter.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from splitopt.distributions import read_trace, write_trace
from splitopt.errors import InputError
from splitopt.planning.control.estimating import Rates, Smoothing, measured_rates
from splitopt.planning.control.fleet import FleetController
from splitopt.planning.control.rates import COLUMNS, events_of, rounds_of
from splitopt.planning.control.replan import Replan
from splitopt.planning.control.state import FleetState
from splitopt.plans import digest
from splitopt.problems.cut_and_resources import CutAndResources, CutAndResourcesDecision
from splitopt.simulation.replay import Replay, simulate_decision
from splitopt.timeline import Timeline
from splitopt.training.history import History
from splitopt.training.preparing.matching import cut_numbers
from splitopt.training.preparing.prepare import Prepared
from splitopt.training.program import Program, cut_name
from splitopt.training.rounds.clock import RoundTime
from splitopt.training.rounds.critical_path import seconds_by_phase
from splitopt.training.schedule import MEASURED, Schedule
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


def replan_identity(schedule: Schedule, seed: int) -> dict[str, Any]:
    """Return what a checkpoint names of how the plan follows; nothing where it stays."""
    found: dict[str, Any] = {}
    if schedule.replan == MEASURED:
        found["replan"] = {"measured": {"smoothing": schedule.smoothing}}
    elif schedule.replan is not None:
        found["replan"] = trace_digest(schedule.replan)
    if schedule.actual_rates is not None:
        found["actual_rates"] = trace_digest(schedule.actual_rates)
    if schedule.time_noise:
        found["time_noise"] = {"of": schedule.time_noise, "seed": seed}
    return found


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
        Says what the plan follows: rates of a trace, what rounds measure, or nothing where only the
        rounds have other rates than planned.

    Raises
    ------
    InputError
        Plans of this kind, the scheme or an option do not let the plan change, or the trace does
        not fit.
    """

    def __init__(self, prepared: Prepared, schedule: Schedule) -> None:
        program = prepared.program
        self._field = "replan" if schedule.replan is not None else "actual_rates"
        self._problem, decision = _expect_fit(prepared, self._field)
        self._prepared, self._scheme = prepared, prepared.scheme
        self._measures = schedule.replan == MEASURED
        self._stays = schedule.replan is None
        trace = schedule.actual_rates if self._measures or self._stays else schedule.replan
        wanted = program.rounds if schedule.rounds is None else schedule.rounds
        self._rounds = None if trace is None else self._read(trace, wanted)
        self._noise, self._seed = schedule.time_noise, prepared.identity["seed"]
        self._smoothing = Smoothing(schedule.smoothing)
        self._names = [device.name for device in program.scenario.fleet()]
        # cuts that the model to be trained does not have are not allowed
        names = [cut_name(program.profile, cut) for cut in range(1, self._problem.layers + 1)]
        there = [all(name in prepared.split.cuts for name in own) for own in names]
        self._problem = self._problem.restricted(self._problem.allowed & there)
        self.controller = FleetController(self._problem, self._names, decision=decision)
        self.plan: Replan = self.controller.plan
        self._seen = 0
        self._known: tuple[int, Replay] | None = None

    def begin(self, history: History) -> None:
        """Plan the round that follows a history by those before it, and cut the copies so."""
        number = len(history)
        while self._seen < number and not self._stays:
            if self._measures:
                events = estimates_in(history, self._seen).events()
            else:
                assert self._rounds is not None
                events = events_of(self._rounds[self._seen], self._names)
            self.plan = self.controller.apply(events)
            self._seen += 1
        program, decision = self._prepared.program, self._decision
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
        program, decision = self._prepared.program, self._decision
        clients = tuple(
            replace(client, cuts=cut_name(program.profile, cut))
            for client, cut in zip(program.clients, decision.cut.tolist(), strict=True)
        )
        found = self._replay(number)
        return replace(program, clients=clients, _predict=lambda _: found)

    def told(
        self, history: History, timeline: Timeline | None, dropped: Collection[str]
    ) -> dict[str, Any]:
        """Return the fields of a row about the plan of a round, and what the round has shown.

        Parameters
        ----------
        history
            The rounds before it.
        timeline
            What its tasks took where they were measured by clocks; those of its simulation if None.
        dropped
            Devices that did not come to the end of it.
        """
        if self._stays:
            return {}
        number = len(history)
        moved = len(self.plan.moved or {}) if number else 0
        plan = {"gap": self.plan.gap, "objective": self.plan.objective, "moved": float(moved)}
        if not self._measures:
            return {"replan": plan}
        found = self._replay(number).timeline if timeline is None else timeline
        planned = self._simulated(self._problem).timeline
        measured = measured_rates(planned, found, dropped)
        before = estimates_in(history, number - 1) if number else Rates()
        estimated = self._smoothing.after(before, measured)
        return {
            "replan": plan | _of_server(measured, "measured") | _of_server(estimated, "estimated"),
            "measured": _plain(measured),
            "estimated": _plain(estimated),
        }

    @property
    def _decision(self) -> CutAndResourcesDecision:
        decision = self.plan.decision
        assert isinstance(decision, CutAndResourcesDecision)  # no event takes anybody away
        return decision

    def _read(self, trace: str | Path, wanted: int) -> list[dict[str, Any]]:
        """Read the factors of every round of a trace, of which there must be enough."""
        found = rounds_of(read_trace(trace, COLUMNS), self._prepared.program.scenario)
        if len(found) < wanted:
            raise InputError.at(
                self._field if not self._measures else "actual_rates",
                f"has {len(found)} rounds, and {wanted} are trained; give a row for each",
            )
        return found

    def _replay(self, number: int) -> Replay:
        """Simulate the round that has begun, by its plan under its own rates."""
        if self._known is not None and self._known[0] == number:
            return self._known[1]
        truth = self._problem
        if self._rounds is not None:
            state = FleetState(self._problem, self._names)
            for event in events_of(self._rounds[number], self._names):
                state.take(event)
            truth = state.changed(state.here, with_budgets=True)
        drawn = np.random.SeedSequence((self._seed, number)).generate_state(1)
        found = self._simulated(truth, self._noise, int(drawn[0]))
        self._known = number, found
        return found

    def _simulated(self, problem: CutAndResources, noise: float = 0.0, seed: int = 0) -> Replay:
        """Simulate a round of the present plan."""
        program = self._prepared.program
        return simulate_decision(
            problem,
            self._decision,
            scenario=program.scenario,
            profile=program.profile,
            noise=noise,
            seed=seed,
        )


def estimates_in(history: History, number: int) -> Rates:
    """Return the estimates after a round (0, 1, ...) of a history, as its row has them."""
    row = history.rows[number]
    return Rates(row.estimated, row.replan.get("server_estimated"))


def _of_server(rates: Rates, word: str) -> dict[str, float]:
    return {} if rates.server is None else {f"server_{word}": rates.server}


def _plain(rates: Rates) -> Mapping[str, Mapping[str, float]]:
    return {name: dict(known) for name, known in rates.devices.items()}


def _expect_fit(prepared: Prepared, field: str) -> tuple[CutAndResources, CutAndResourcesDecision]:
    """Return problem and decision of a plan whose cuts may change between rounds.

    Raises
    ------
    InputError
        The plan, the scheme or an option does not let them.
    """
    program, scheme = prepared.program, prepared.scheme
    problem, decision = program.opened.problem, program.opened.decision
    if not (
        isinstance(scheme, SplitFedV1)
        and is_own(type(scheme))
        and isinstance(problem, CutAndResources)
        and isinstance(decision, CutAndResourcesDecision)
    ):
        raise InputError.at(
            field,
            "is for plans of cut_and_resources that splitfed_v1 trains, whose cuts and shares "
            f"may change between rounds, not for {program.problem} trained by {scheme.name}",
        )
    for name, nothing, why in _UNFIT:
        if getattr(scheme.options, name) != nothing:
            raise InputError.at(field, f"does not go with {name}, by which {why}")
    if scheme.options.has_codecs:
        raise InputError.at(field, "does not go with codecs, which are planned for one cut")
    return problem, decision
