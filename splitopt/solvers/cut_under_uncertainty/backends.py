"""`CutUnderUncertainty` by HiGHS, SCIP and Gurobi: its deterministic equivalent, if it is small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from splitopt.problems.cut_under_uncertainty import CutUnderUncertainty
from splitopt.problems.size import Size
from splitopt.results import StopReason
from splitopt.solvers.backends import solvers
from splitopt.solvers.base import Search
from splitopt.solvers.cluster_and_spectrum.backends import round_size


class _Equivalent(solvers.Limited[CutUnderUncertainty]):
    """The deterministic equivalent: its size and its unit of time."""

    problem: ClassVar[str] = "cut_under_uncertainty"
    objectives: ClassVar[frozenset[str]] = frozenset(CutUnderUncertainty.objectives)

    def size(self, problem: CutUnderUncertainty) -> Size:
        """Count variables and rows, without building the program."""
        one = round_size(problem.block(0, 0))
        rounds = len(problem.cuts) * problem.samples
        beside = problem.samples + 1
        return Size(
            rounds * one.variables + len(problem.cuts) + beside,
            rounds * one.linear_constraints + beside,
        )

    def run(self, problem: CutUnderUncertainty, search: Search) -> StopReason:
        """Propose a quick answer first: a back end may find nothing in its time."""
        search.propose(problem.complete(int(problem.statistic(problem.bounds()).argmin())))
        return super().run(problem, search)


@dataclass(frozen=True)
class Highs(_Equivalent, solvers.Highs[CutUnderUncertainty]):
    """HiGHS on the deterministic equivalent."""


@dataclass(frozen=True)
class Scip(_Equivalent, solvers.OnlyPyomoScip[CutUnderUncertainty]):
    """SCIP on the deterministic equivalent."""


@dataclass(frozen=True)
class Gurobi(_Equivalent, solvers.DirectGurobi[CutUnderUncertainty]):
    """Gurobi on the deterministic equivalent."""


@dataclass(frozen=True)
class PyomoGurobi(_Equivalent, solvers.PyomoGurobi[CutUnderUncertainty]):
    """Gurobi through Pyomo."""
