"""The round of the schemes with one server at a cut that all devices share, phase by phase.

One place for it: the rows of a comparison, the training clock and what would help most are all read
from here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from splitopt.latency.sequential import phases_in_turn
from splitopt.latency.served_in_turn import client_seconds, served_in_turn
from splitopt.latency.split_federated import PhaseSeconds
from splitopt.planning.resource_worth import most_worth
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources import PHASES, CutAndResources
from splitopt.problems.cut_and_resources.tables import tables_from_scenario
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario

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
    return _ROUNDS[scheme](context, np.asarray(cuts, dtype=np.int64))


def helps_most(scheme: str, context: ServerContext, cut: int) -> tuple[str, float]:
    """Return the resource of which more saves most of the round at a cut, and s for 1 % more."""
    if _ROUNDS[scheme] is _side_by_side:
        best = most_worth(context.problem, context.everyone(cut), context.scenario)
        return best.resource, best.per_percent
    return longest_phase(round_phases(scheme, context, [cut])[0])


def longest_phase(phases: FloatArray) -> tuple[str, float]:
    """Return the resource of the longest phase, shape (4,) in s by `PHASES`, and s for 1 % more.

    For rounds all of whose seconds are on one chain of tasks: 1 % more takes 1 % of its seconds.
    """
    longest = int(phases.argmax())
    return _RESOURCES[PHASES[longest]], float(phases[longest]) / 100


def _side_by_side(context: ServerContext, cuts: IntArray) -> FloatArray:
    """FL and SplitFedV1: all at once, links and server divided for the shortest round."""
    found = []
    for cut in cuts:
        phases = context.problem.phases(context.problem.complete(context.everyone(int(cut))))
        found.append(phases[phases.sum(axis=1).argmax()])
    return np.array(found)


def _in_turn(context: ServerContext, cuts: IntArray) -> FloatArray:
    """Vanilla SL: each device alone, with all of the links and the server."""
    found: FloatArray = phases_in_turn(context.seconds, cuts)
    return found


def _client_by_client(context: ServerContext, cuts: IntArray) -> FloatArray:
    """SplitFedV2: one server part serves client after client."""
    clients = client_seconds(context.scenario, context.profile, context.seconds, cuts - 1)
    return served_in_turn(clients, bool(context.problem.shared_links))


_ROUNDS: dict[str, Callable[[ServerContext, IntArray], FloatArray]] = {
    "fl": _side_by_side,
    "sl": _in_turn,
    "sflv1": _side_by_side,
    "sflv2": _client_by_client,
}
