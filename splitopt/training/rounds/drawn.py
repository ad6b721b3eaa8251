"""What a round takes of which the clients or their order were drawn, for schemes of one server.

Clients that work side by side (SplitFedV1, federated learning) keep the shares of links and server
that the plan gives them, whoever takes part: a round is as long as the slowest of those who do.
Where they are served in turn, the round is that of the very order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from splitopt.latency.drawn_clients import expected_longest
from splitopt.planning.comparison.at_cut import with_steps
from splitopt.problems.common_cut import BY_BATCH, PHASES, SCHEMES, CommonCut
from splitopt.problems.common_cut.data import SIDE_BY_SIDE, TABLES
from splitopt.simulation.common_cut import replay
from splitopt.simulation.replay import Setting
from splitopt.timeline import Timeline
from splitopt.training.program import Program
from splitopt.training.turns import TurnsOfClient

Seconds = dict[str, float]


class DrawnRounds:
    """Computes what rounds of a program take, by who takes part and in which order.

    Parameters
    ----------
    program
        What is trained, by one of the `SCHEMES` of a common cut.
    server_order
        How SplitFedV2 serves.
    """

    def __init__(self, program: Program, server_order: str = "client") -> None:
        self.program = program
        self._server_order = server_order
        self._each: list[Seconds] | None = None
        self._problem: CommonCut | None = None

    @staticmethod
    def takes(program: Program) -> bool:
        """Whether rounds of a program are such rounds."""
        return program.plays in SCHEMES

    def of(self, served: Sequence[Sequence[int]]) -> Seconds:
        """Return the seconds of a round by phase, which add up to it.

        Parameters
        ----------
        served
            As `splitopt.training.schemes.Scheme.served` gives them.
        """
        if self.program.plays in SIDE_BY_SIDE:
            each = self._by_client()
            return max((each[n] for n in served[0]), key=lambda own: sum(own.values()))
        phases = self._common().rounds([self._cut()], self._orders(served))[0].tolist()
        return {name: value for name, value in zip(PHASES, phases, strict=True) if value > 0}

    def timeline(self, served: Sequence[Sequence[int]]) -> Timeline:
        """Return every task of a round of the plan's own scheme.

        Where devices work side by side it has the plan's tasks of those who take part; where they
        take turns it is simulated in the order in which they are ``served``, as for `of`.
        """
        program = self.program
        if program.plays in SIDE_BY_SIDE:
            whole = program.replay.timeline
            return _of_owners(whole, [program.clients[n].name for n in served[0]])
        problem = self._common()
        setting = Setting(program.scenario, program.profile)
        return replay(
            problem, problem.complete(self._cut()), setting, self._orders(served)
        ).timeline

    def _orders(self, served: Sequence[Sequence[int]]) -> list[Sequence[int]]:
        """Return an order for every turn of the plan, of which data of fewer samples have fewer."""
        common = self._common()
        by_batch = common.objective == "splitfed_v2" and common.server_order == BY_BATCH
        turns = int(common.batches.max()) if by_batch else 1
        return [*served, *[served[-1]] * (turns - len(served))]

    def of_turns(self, work: Sequence[TurnsOfClient]) -> Seconds:
        """Return the seconds by phase of a round of one device after the other, by their work."""
        problem, column = self._common(), self._cut() - 1
        turns, passes, replayed, down, up = np.array(work, dtype=np.float64).T
        once = {name: getattr(problem, name)[:, column] for name in TABLES}
        through = 1 + passes
        seconds = {
            "download": (turns + down) * once["model_down_s"] + through * once["gradient_s"],
            "device": through * (once["forward_s"] + once["backward_s"]),
            "upload": through * once["upload_s"] + (turns + up) * once["model_up_s"],
            "server": (through + replayed) * once["server_s"],
        }
        return _named(PHASES, [float(seconds[name].sum()) for name in PHASES])

    def expected(self, drawn: int) -> float | None:
        """Return the expected seconds of a round of so many drawn clients, exactly.

        None where clients are served in turn: the expectation over all subsets and orders has no
        closed form.
        """
        if self.program.plays not in SIDE_BY_SIDE:
            return None
        return expected_longest([sum(own.values()) for own in self._by_client()], drawn)

    def _by_client(self) -> list[Seconds]:
        """Return the seconds of each client's round by phase, where all work side by side."""
        if self._each is None:
            planned = self.program.plays == self.program.planned_scheme
            self._each = self._planned() if planned else self._compared()
        return self._each

    def _planned(self) -> list[Seconds]:
        timeline = self.program.replay.timeline
        seconds = np.zeros((len(timeline.owners), len(timeline.phases)))
        lasting = timeline.end_s - timeline.start_s
        np.add.at(seconds, (timeline.owner, timeline.phase), lasting)
        return [_named(timeline.phases, own.tolist()) for own in seconds]

    def _compared(self) -> list[Seconds]:
        problem = self._common()
        phases = problem.device_phases(problem.complete(self._cut()))
        return [_named(PHASES, own.tolist()) for own in phases]

    def _common(self) -> CommonCut:
        """Return the scheme's problem, of the codecs' bytes where there are codecs."""
        if self._problem is None:
            program = self.program
            scenario = program.scenario
            if program.local_steps is not None:
                scenario = with_steps(scenario, program.local_steps)
            order = self._server_order if program.plays == "splitfed_v2" else None
            training = scenario.training.model_copy(update={"server_order": order})
            scenario = scenario.model_copy(update={"training": training})
            found = CommonCut.from_scenario(scenario, program.profile, program.plays)
            longer = found.model_up_s * program.upload_factor
            self._problem = replace(found, model_up_s=longer)
        return self._problem

    def _cut(self) -> int:
        cuts = self.program.clients[0].cuts
        profile = self.program.profile
        return profile.layers.index(cuts[0]) + 1 if cuts else profile.layer_count


def _of_owners(timeline: Timeline, names: Sequence[str]) -> Timeline:
    """Return the tasks of some owners."""
    known = [timeline.owners.index(name) for name in names]
    rows = np.flatnonzero(np.isin(timeline.owner, known))
    columns = ("resource", "phase", "owner", "batch", "start_s", "end_s", "share")
    return replace(timeline, **{name: getattr(timeline, name)[rows] for name in columns})


def _named(names: Sequence[str], seconds: Sequence[float]) -> Seconds:
    return {name: value for name, value in zip(names, seconds, strict=True) if value > 0}
