"""Alternate exact steps: the best cuts for the shares, then the best shares for the cuts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.documents.checks import check_whole
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.cut_and_resources.relaxation import LoadsRelaxation, root_bound
from splitopt.solvers.cut_and_resources.rules import fastest_cuts
from splitopt.solvers.cut_and_resources.warm.starting import old_cuts

_PROGRESS = 1e-12
"""A step that gains less than this, relatively, is taken for rounding."""


@dataclass(frozen=True)
class BlockDescent(LoadsRelaxation, Solver[CutAndResources]):
    """Exact block coordinate descent, from equal shares and then from random ones.

    With a decision to start from it descends from that before all others.

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
    start_use: ClassVar[str] = "what is descended from first"

    starts: int = 1
    max_steps: int = 1000

    def __post_init__(self) -> None:
        for name in ("starts", "max_steps"):
            check_whole(name, getattr(self, name), 1)

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        """Descend from every start and prove the cheap bound."""
        shared = len(problem.resources)
        shares = np.full((problem.devices, shared), 1.0 / problem.devices)
        settled = True
        if (old := old_cuts(search)) is not None and problem.permits(old).all():
            settled &= self._descend(problem, problem.complete(old).shares, search, old)
            if (reason := search.stop()) is not None:
                return reason
        for start in range(self.starts):
            if start:
                shares = search.rng.dirichlet(np.ones(problem.devices), shared).T
            settled &= self._descend(problem, shares, search)
            if (reason := search.stop()) is not None:
                return reason
        search.prove(root_bound(problem, search.is_over))
        return "converged" if settled else "iterations"

    def _descend(
        self,
        problem: CutAndResources,
        shares: FloatArray,
        search: Search,
        cuts: IntArray | None = None,
    ) -> bool:
        """Alternate until nothing improves, which is True, or something ends the run.

        The cuts (N,) are those that have these shares, where there are any.
        """
        reached = np.inf if cuts is None else search.propose(problem.complete(cuts))
        for _ in range(self.max_steps):
            decision = problem.complete(fastest_cuts(problem, shares))
            value = search.propose(decision)
            search.iterations += 1
            if not value < reached * (1 - _PROGRESS):
                return True
            reached, shares = value, decision.shares
            if search.stop() is not None:
                return False
        return False
