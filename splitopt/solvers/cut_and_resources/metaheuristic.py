"""What the general-purpose searches over vectors of cuts share."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.documents.checks import check_whole
from splitopt.errors import InfeasibleError
from splitopt.problems.base import IntArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.cut_and_resources.cut_vectors import CutVectors, Evaluations, Stopped
from splitopt.solvers.cut_and_resources.exact.feasible import within_budgets
from splitopt.solvers.cut_and_resources.relaxation import LoadsRelaxation, root_bound
from splitopt.solvers.cut_and_resources.relaxation.grouping import fleet_of
from splitopt.solvers.cut_and_resources.warm.starting import old_cuts

_LISTED = 16_384
"""A node of the search for a first vector with at most so many plans is gone through."""


@dataclass(frozen=True)
class Metaheuristic(LoadsRelaxation, Solver[CutAndResources]):
    """Search over the cuts alone, with the best shares for each; the relaxation proves the bound.

    Parameters
    ----------
    max_evaluations
        Stop after this many vectors of cuts.
    """

    problem: ClassVar[str] = "cut_and_resources"
    objectives: ClassVar[frozenset[str]] = frozenset(CutAndResources.objectives)
    kind: ClassVar[Kind] = "heuristic"
    start_use: ClassVar[str] = "one of the first vectors, if it beats a random one"

    max_evaluations: int = 100_000

    def __post_init__(self) -> None:
        check_whole("max_evaluations", self.max_evaluations, 1)

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        """Propose a random vector of cuts and the old one, if any, prove the bound, and search.

        With budgets the first vector is one that keeps them, near the random one.

        Raises
        ------
        InfeasibleError
            No cuts keep all budgets together.
        """
        vectors = CutVectors.of(problem)
        evaluate = Evaluations(problem, search, self.max_evaluations)
        try:
            first = vectors.cuts(vectors.draw(search.rng, 1))
            if problem.budgets is not None:
                kept = _within(problem, first[0], search)
                if kept is None:
                    return search.stop() or "converged"
                first = kept[None]
            old = old_cuts(search)
            if old is not None and problem.permits(old).all():
                drawn, known = evaluate(np.concatenate((first, old[None])))
                if known <= drawn:
                    vectors = vectors.starting(old)
            else:
                evaluate(first)
            if len(vectors.free) == 0:
                search.prove(search.objective)
                return "proved"
            if (reason := search.stop()) is not None:
                return reason
            search.prove(root_bound(problem, search.is_over))
            self._explore(vectors, evaluate, search.rng)
        except Stopped as stopped:
            return stopped.reason
        return "converged"

    @abstractmethod
    def _explore(
        self, vectors: CutVectors, evaluate: Evaluations, rng: np.random.Generator
    ) -> None:
        """Evaluate better and better vectors until `evaluate` raises `Stopped` or none is left."""


def _within(problem: CutAndResources, cuts: IntArray, search: Search) -> IntArray | None:
    """Return cuts (N,) that keep all budgets, None if the run is stopped before they are found."""
    found: IntArray | None = within_budgets(
        problem, fleet_of(problem), cuts, _LISTED, lambda: search.stop() is not None
    )
    if found is None and search.stop() is None:
        raise InfeasibleError(problem.over_budgets())
    return found
