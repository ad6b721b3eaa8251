"""Rules that fix the shares first and then give every device its best cut under them.

They are what people do without an optimizer, and the baselines of DP-MORA section 7.1: the best
cut of each device for the shares that the rule hands out. The cuts are exactly optimal for those
shares, since with fixed shares the devices do not depend on each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.problems.base import FloatArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.cut_and_resources.problem import decision_from_shares
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver


def _best_cuts_under(problem: CutAndResources, share: FloatArray, search: Search) -> StopReason:
    """Propose every device's fastest allowed cut when `share` (N,) of everything is its own."""
    with np.errstate(divide="ignore", invalid="ignore"):
        shared = problem.download_s + problem.upload_s + problem.server_s
        latency = np.where(shared > 0, shared / share[:, None], 0.0) + problem.device_s
    latency = np.where(problem.allowed, latency, np.inf)
    cuts = latency.argmin(axis=1) + 1
    search.iterations = 1
    search.propose(decision_from_shares(cuts, np.repeat(share[:, None], 3, axis=1)))
    search.prove(problem.bound())
    return "converged"


@dataclass(frozen=True)
class EqualShare(Solver[CutAndResources]):
    """Every device gets 1/N of everything."""

    name: ClassVar[str] = "equal_share"
    problem: ClassVar[str] = "cut_and_resources"
    objectives: ClassVar[frozenset[str]] = frozenset(CutAndResources.objectives)
    kind: ClassVar[Kind] = "rule"

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        """Give equal shares and the best cut under them."""
        n = problem.devices
        return _best_cuts_under(problem, np.full(n, 1.0 / n), search)


@dataclass(frozen=True)
class ProportionalShare(Solver[CutAndResources]):
    """Every device gets a share proportional to its weight (its batch size in DP-MORA)."""

    name: ClassVar[str] = "proportional_share"
    problem: ClassVar[str] = "cut_and_resources"
    objectives: ClassVar[frozenset[str]] = frozenset(CutAndResources.objectives)
    kind: ClassVar[Kind] = "rule"

    def refusal(self, problem: CutAndResources) -> str | None:
        """Refuse a problem without weights, or with weights that give nobody anything."""
        if problem.weights is None:
            return "needs 'weights' (batch sizes) in the data to be proportional to"
        if not (problem.weights > 0).all():
            return "needs every one of 'weights' to be above 0"
        return None

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        """Give proportional shares and the best cut under them."""
        assert problem.weights is not None  # refusal() comes first
        relative = problem.weights / problem.weights.max()
        return _best_cuts_under(problem, relative / relative.sum(), search)
