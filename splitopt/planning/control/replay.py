"""A trace of rates replayed: the controller beside plans of those who know more, or do less."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from splitopt.documents.checks import check_whole
from splitopt.documents.suggestions import did_you_mean
from splitopt.driver import solve
from splitopt.errors import InputError, shown
from splitopt.planning.control.fleet import FleetController
from splitopt.planning.control.rates import events_of
from splitopt.planning.control.report import ControlReport, RoundReport
from splitopt.planning.control.state import FleetState
from splitopt.problems.base import FloatArray
from splitopt.problems.cut_and_resources import CutAndResources

FLEET_POLICIES = ("controller", "clairvoyant", "static", "periodic")
"""`clairvoyant` solves every round to a proof, knowing it; `static` keeps cuts and shares of the
first plan; `periodic` solves anew every some rounds, from scratch, and keeps that plan between."""

Factors = Mapping[str, FloatArray]


def replay_fleet(
    controller: FleetController,
    rounds: Sequence[Factors],
    policies: Sequence[str] = FLEET_POLICIES,
    *,
    delay: int = 0,
    period: int = 10,
    progress: Callable[[int], object] | None = None,
    notes: tuple[str, ...] = (),
) -> ControlReport:
    """Plan and time every round of a trace, and what other policies would have taken.

    Parameters
    ----------
    controller
        Of the fleet; it goes on from where it is.
    rounds
        What every round really is, see `rates.rounds_of`.
    policies
        Of `FLEET_POLICIES`; ``controller`` is always there.
    delay
        Rounds between a measurement and its use: 0 plans with what the round really is.
    period
        Rounds between two plans of ``periodic``.
    progress
        Called with the number of each round that is done. Ctrl-C ends the replay with the rounds
        that are done.
    notes
        What a reader of the report should know.
    """
    for name in policies:
        if name not in FLEET_POLICIES:
            raise InputError.at(
                "policies",
                f"has {shown(name)}, known are {', '.join(FLEET_POLICIES)}"
                f"{did_you_mean(name, FLEET_POLICIES)}",
            )
    check_whole("delay", delay, 0)
    check_whole("period", period, 1)
    others = _Others(controller, period)
    done: list[RoundReport] = []
    interrupted = False
    try:
        for index, truth in enumerate(rounds):
            seen = rounds[index - delay] if index >= delay else {}
            plan = controller.apply(events_of(seen, list(controller.devices)))
            problem = others.truth(truth)
            latency = {"controller": problem.evaluate(plan.decision)}  # type: ignore[arg-type]
            for name in policies:
                if name != "controller":
                    latency[name] = others.value(name, index, seen, problem)
            done.append(
                RoundReport(index + 1, latency, plan.took_s, plan.gap, len(plan.moved or {}))
            )
            if progress is not None:
                progress(index + 1)
    except KeyboardInterrupt:
        interrupted = True
    return ControlReport(
        "of every device", tuple(done), interrupted=interrupted, notes=notes, objective="expected"
    )


class _Others:
    """What other policies decide."""

    def __init__(self, controller: FleetController, period: int) -> None:
        problem = controller.problem
        self._names = list(controller.devices)
        self._problem, self._period = problem, period
        self._static: Any = controller.plan.decision
        self._periodic: Any = self._static

    def truth(self, factors: Factors) -> CutAndResources:
        """Return the problem of a round."""
        state = FleetState(self._problem, self._names)
        for event in events_of(factors, self._names):
            state.take(event)
        return state.changed(np.arange(len(self._names)), with_budgets=True)

    def value(self, name: str, index: int, seen: Factors, problem: CutAndResources) -> float:
        """Return the objective of a policy in a round."""
        if name == "static":
            return problem.evaluate(self._static)
        if name == "clairvoyant":
            return solve(problem, start=self._static, rel_gap=1e-6).objective
        if index % self._period == 0:
            self._periodic = solve(self.truth(seen), rel_gap=1e-6).decision or self._periodic
        return problem.evaluate(self._periodic)
