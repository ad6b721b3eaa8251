"""The virtual clock: training is real, time comes from the plan.

A round takes what the simulator says of the plan's round, and its seconds are divided among the
phases of the critical path, so that they add up. Where another scheme than the plan's trains, to
compare with, its round is that of `splitopt.planning.comparison`, and SplitNN's its closed form;
one that nobody can predict has no time. Where clients or their order are drawn, a round is that of
those who were drawn, see `splitopt.training.rounds.drawn`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from splitopt.documents.checks import is_number
from splitopt.errors import InputError, TrainingError, shown
from splitopt.planning.comparison.at_cut import round_at_cut
from splitopt.problems.pipeline_partition import PipelinePartition, PipelinePartitionDecision
from splitopt.problems.pipeline_partition.split_nn import split_nn_round
from splitopt.training.program import Program
from splitopt.training.rounds.critical_path import seconds_by_phase
from splitopt.training.rounds.drawn import DrawnRounds
from splitopt.training.turns import TurnsOfClient, count_of

if TYPE_CHECKING:
    from splitopt.timeline import Timeline
    from splitopt.training.schemes import Scheme

_COMPARED = {"federated": "fl", "vanilla": "sl", "splitfed_v1": "sflv1", "splitfed_v2": "sflv2"}
"""Scheme of training -> scheme of the comparison."""


@dataclass(frozen=True)
class RoundTime:
    """What a round takes: all of it, and by phase, in s."""

    seconds: float
    phases: Mapping[str, float]


class VirtualClock:
    """Computes how long the rounds of a program take.

    Parameters
    ----------
    program
        What is trained.
    brought
        The scheme, where it is none of splitopt's own and so says itself what its rounds take.
    scheme
        Who draws which clients take part in a round, and in which order; without it all do, in the
        order of the plan.
    """

    def __init__(
        self, program: Program, brought: Scheme | None = None, scheme: Scheme | None = None
    ) -> None:
        self.program, self._brought = program, brought
        self._scheme = scheme if DrawnRounds.takes(program) else None
        order = None if scheme is None else scheme.options.server_order
        self._drawn = DrawnRounds(program, order or "client")
        self._known: dict[int, RoundTime | None] = {}

    def round(self, number: int) -> RoundTime | None:
        """Predict a round (0, 1, ...); None where there is no prediction for the scheme."""
        if self._brought is not None and self.program.runs_as is None:
            return self._own(self._brought, number)
        if self.program.has_ranks and self.program.plays != self.program.planned_scheme:
            return None  # other schemes' rounds are predicted at one rank of all
        if self._scheme is not None and (work := self._scheme.turns_of(number)):
            return self._of_turns(work)
        if self._scheme is not None and (served := self._unusual(self._scheme, number)):
            phases = self._drawn.of(served)
            return RoundTime(sum(phases.values()), phases)
        planned = self.program.plays_as_planned
        index = number % self.program.rounds_known if planned else 0
        if index not in self._known:
            self._known[index] = self._planned(index) if planned else self._compared()
        return self._known[index]

    def timeline(self, number: int) -> Timeline:
        """Predict every task of a round (0, 1, ...) of the plan's own scheme.

        It is that of the clients who were drawn for the round, in the order that was drawn.
        """
        if self._scheme is not None:
            served, everyone = self._scheme.served(number), list(range(len(self.program.clients)))
            if not (self._as_stated and all(turn == everyone for turn in served)):
                return self._drawn.timeline(served)
        return self.program.replay_of(number).timeline

    def _of_turns(self, work: Sequence[TurnsOfClient]) -> RoundTime | None:
        """Return what a round of such turns takes."""
        try:
            phases = self._drawn.of_turns(work)
        except InputError:
            return None
        return RoundTime(sum(phases.values()), phases)

    def _unusual(self, scheme: Scheme, number: int) -> list[list[int]] | None:
        """Return who is served in a round, None where that changes nothing of what it takes."""
        served, everyone = scheme.served(number), list(range(len(self.program.clients)))
        if self.program.plays != "splitfed_v2":
            return served if sorted(served[0]) != everyone else None
        planned = self.program.plays == self.program.planned_scheme
        as_planned = planned and self._as_stated
        return None if as_planned and all(turn == everyone for turn in served) else served

    @property
    def _as_stated(self) -> bool:
        """Whether a shared server part serves as the plan's scenario states."""
        if self._scheme is None or self.program.plays != "splitfed_v2":
            return True
        stated = self.program.scenario.training.server_order or "client"
        return (self._scheme.options.server_order or "client") == stated

    def expected_s(self) -> float | None:
        """Return the expected seconds of a round where clients are drawn, None if unknown."""
        if self._scheme is None or (fraction := self._scheme.options.client_fraction) is None:
            return None
        return self._drawn.expected(count_of(len(self.program.clients), fraction))

    def _own(self, scheme: Scheme, number: int) -> RoundTime | None:
        """Return what a scheme that is not splitopt's own says of a round."""
        phases = scheme.phases_s(self.program, number)
        if phases is None:
            return None
        if not isinstance(phases, Mapping) or not all(
            isinstance(name, str) and is_number(value) and 0 <= value < float("inf")
            for name, value in phases.items()
        ):
            raise TrainingError(
                f"phases_s of {scheme.name} gives {shown(phases)}, it must give finite seconds "
                ">= 0 by phase, or None"
            )
        own = {name: float(value) for name, value in phases.items()}
        return RoundTime(sum(own.values()), own)

    def _planned(self, number: int) -> RoundTime:
        timeline = self.program.replay_of(number).timeline
        return RoundTime(timeline.makespan_s, seconds_by_phase(timeline))

    def _compared(self) -> RoundTime | None:
        program = self.program
        if program.plays == "split_nn":
            return self._in_turn()
        scheme = _COMPARED.get(program.plays)
        if scheme is None:
            return None
        cuts = {client.cuts for client in program.clients}
        cut = None
        if scheme != "fl":
            (name,) = next(iter(cuts))  # these schemes have one cut that all share
            cut = program.profile.layers.index(name) + 1
        try:
            phases = round_at_cut(
                scheme, program.scenario, program.profile, cut, program.local_steps
            )
        except InputError:
            return None
        return RoundTime(sum(phases.values()), phases)

    def _in_turn(self) -> RoundTime | None:
        """Return SplitNN's round with the fastest of the plan's nodes that can host the middle."""
        problem, decision = self.program.opened.problem, self.program.opened.decision
        assert isinstance(problem, PipelinePartition)  # no other plan serves the scheme
        assert isinstance(decision, PipelinePartitionDecision)
        found = split_nn_round(problem, decision.chain.nodes)
        return None if found is None else RoundTime(found.seconds, found.phases)
