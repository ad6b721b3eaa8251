"""Alternate exact steps: the best cuts for the shares, then the best shares for the cuts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.documents.checks import check_whole
from splitopt.problems.base import FloatArray
from splitopt.problems.cut_and_resources import CutAndResources, CutAndResourcesDecision
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.cut_and_resources.relaxation import LoadsRelaxation, root_bound
from splitopt.solvers.cut_and_resources.rules import fastest_cuts

_PROGRESS = 1e-12
"""A step that gains less than this, relatively, is taken for rounding."""


@dataclass(frozen=True)
class BlockDescent(LoadsRelaxation, Solver[CutAndResources]):
    """Exact block coordinate descent, from equal shares and then from random ones.

    For given shares each device's fastest cut is the best for either objective, since devices do
    not depend on each other; for given cuts the best shares have a closed form (sum) or are found
    by one root (makespan). A device that gets nothing of a resource can never again choose a cut
    that needs it, which is one of the reasons why descent ends in local optima.

    Parameters
    ----------
    starts
        How many times to start.
    max_steps
        Most pairs of steps for each start.
    """

    name: ClassVar[str] = "block_descent"
    problem: ClassVar[str] = "cut_and_resources"
    objectives: ClassVar[frozenset[str]] = frozenset(CutAndResources.objectives)
    kind: ClassVar[Kind] = "heuristic"

    starts: int = 1
    max_steps: int = 1000

    def __post_init__(self) -> None:
        for name in ("starts", "max_steps"):
            check_whole(name, getattr(self, name), 1)

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        """Descend from every start and prove the cheap bound."""
        shares = np.full((problem.devices, 3), 1.0 / problem.devices)
        settled = True
        for start in range(self.starts):
            if start:
                shares = search.rng.dirichlet(np.ones(problem.devices), 3).T
            settled &= self._descend(problem, shares, search)
            if (reason := search.stop()) is not None:
                return reason
        search.prove(root_bound(problem))
        return "converged" if settled else "iterations"

    def _descend(self, problem: CutAndResources, shares: FloatArray, search: Search) -> bool:
        """Alternate until nothing improves, which is True, or something ends the run."""
        reached = np.inf
        for _ in range(self.max_steps):
            decision = problem.complete(fastest_cuts(problem, shares))
            value = search.propose(decision)
            search.iterations += 1
            if not value < reached * (1 - _PROGRESS):
                return True
            reached, shares = value, _shares(decision)
            if search.stop() is not None:
                return False
        return False


def _shares(decision: CutAndResourcesDecision) -> FloatArray:
    """Return the shares (N, 3): download, upload, server."""
    return np.stack((decision.download_share, decision.upload_share, decision.server_share), axis=1)
