"""The round of the schemes with one server at a cut that all devices share, phase by phase.

One place for it: the rows of a comparison, the training clock and what would help most are all read
from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from splitopt.latency.split_federated import PhaseSeconds
from splitopt.planning.resource_worth import most_worth
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.common_cut import PHASES as PHASES
from splitopt.problems.common_cut import CommonCut
from splitopt.problems.common_cut.data import SIDE_BY_SIDE
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.cut_and_resources.tables import tables_from_scenario
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario

TRAINED_AS = {
    "fl": "federated",
    "sl": "vanilla",
    "sflv1": "splitfed_v1",
    "sflv2": "splitfed_v2",
}
"""Scheme of the comparison -> scheme of training."""
_RESOURCES = {
    "download": "the downlink",
    "device": "the devices",
    "upload": "the uplink",
    "server": "the server",
}
"""Phase -> what takes its seconds."""


@dataclass(frozen=True)
class ServerContext:
    """A scenario with its one server, and the seconds of every device and cut."""

    scenario: Scenario
    profile: ModelProfile
    problem: CutAndResources

    @classmethod
    def of(cls, scenario: Scenario, profile: ModelProfile) -> ServerContext:
        """Build the tables; priorities do not count, rounds are compared in plain seconds."""
        tables = tables_from_scenario(scenario, profile)
        dropped = dict.fromkeys(("curves", "priority", "seconds_per_joule", "budgets"))
        return cls(scenario, profile, CutAndResources(**tables | dropped, objective="makespan"))

    def common(self, scheme: str) -> CommonCut:
        """Return the question for the best common cut of a scheme, a key of `TRAINED_AS`."""
        return CommonCut.from_scenario(self.scenario, self.profile, TRAINED_AS[scheme])

    @property
    def seconds(self) -> PhaseSeconds:
        """Seconds of every device and cut at the full resource."""
        problem = self.problem
        return PhaseSeconds(
            problem.download_s, problem.upload_s, problem.server_s, problem.device_s
        )

    def energy(self, cuts: IntArray) -> float | None:
        """Joule of all devices in a round, None if their powers are unknown."""
        known = self.problem.device_w is not None and self.problem.radio_w is not None
        return float(self.problem.energy(self.problem.complete(cuts)).sum()) if known else None

    def everyone(self, cut: int) -> IntArray:
        """Return the same cut for all devices, shape (N,)."""
        return np.full(self.problem.devices, cut, dtype=np.int64)


def round_phases(scheme: str, context: ServerContext, cuts: Sequence[int]) -> FloatArray:
    """Compute the round of a scheme at some common cuts.

    Parameters
    ----------
    scheme
        ``fl``, ``sl``, ``sflv1`` or ``sflv2``.
    cuts
        K of them, 1..L.

    Returns
    -------
    Shape (K, 4): seconds by `PHASES`, which add up to the round. Where devices work side by side,
    links and server are divided for the shortest round, and the phases are the slowest device's.
    """
    problem = context.common(scheme)
    if problem.takes_turns:
        return problem.rounds(cuts)
    return np.array([problem.phases(problem.complete(cut)) for cut in cuts])


def helps_most(scheme: str, context: ServerContext, cut: int) -> tuple[str, float]:
    """Return the resource of which more saves most of the round at a cut, and s for 1 % more."""
    if TRAINED_AS[scheme] in SIDE_BY_SIDE:
        best = most_worth(context.problem, context.everyone(cut), context.scenario)
        return best.resource, best.per_percent
    return longest_phase(round_phases(scheme, context, [cut])[0])


def longest_phase(phases: FloatArray) -> tuple[str, float]:
    """Return the resource of the longest phase, shape (4,) in s by `PHASES`, and s for 1 % more.

    For rounds all of whose seconds are on one chain of tasks: 1 % more takes 1 % of its seconds.
    """
    longest = int(phases.argmax())
    return _RESOURCES[PHASES[longest]], float(phases[longest]) / 100
