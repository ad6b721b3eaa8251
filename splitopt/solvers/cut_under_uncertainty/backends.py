"""`CutUnderUncertainty` by HiGHS, SCIP and Gurobi: its deterministic equivalent, if it is small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from splitopt.problems.cut_under_uncertainty import CutUnderUncertainty
from splitopt.results import StopReason
from splitopt.solvers.backends.linear import Counted, DirectGurobi, OnGurobi, ThroughPyomo
from splitopt.solvers.backends.pyomo import PyomoSolver
from splitopt.solvers.base import Search
from splitopt.solvers.cluster_and_spectrum.backends import round_size


class _Equivalent:
    """The problem, its size and its unit of time."""

    problem: ClassVar[str] = "cut_under_uncertainty"
    objectives: ClassVar[frozenset[str]] = frozenset(CutUnderUncertainty.objectives)

    def size(self, problem: CutUnderUncertainty) -> Counted:
        """Count variables and rows, without building the program."""
        one = round_size(problem.block(0, 0))
        rounds = len(problem.cuts) * problem.samples
        beside = problem.samples + 1
        return Counted(
            rounds * one.variables + len(problem.cuts) + beside,
            rounds * one.linear_constraints + beside,
        )

    def unit_s(self, problem: CutUnderUncertainty) -> float:
        """Return the cheap bound of the problem, which is near its optimum."""
        return problem.bound() or 1.0

    def run(self, problem: CutUnderUncertainty, search: Search) -> StopReason:
        """Propose a quick answer first: a back end may find nothing in its time."""
        search.propose(problem.complete(int(problem.statistic(problem.bounds()).argmin())))
        if (reason := search.stop()) is not None:
            return reason
        return super().run(problem, search)  # type: ignore[misc, no-any-return]


@dataclass(frozen=True)
class Highs(_Equivalent, ThroughPyomo[CutUnderUncertainty]):
    """HiGHS on the deterministic equivalent."""

    name: ClassVar[str] = "highs"
    requires: ClassVar[tuple[str, ...]] = ("pyomo", "highspy")
    back_end: ClassVar[PyomoSolver] = "highs"


@dataclass(frozen=True)
class Scip(_Equivalent, ThroughPyomo[CutUnderUncertainty]):
    """SCIP on the deterministic equivalent."""

    name: ClassVar[str] = "scip"
    requires: ClassVar[tuple[str, ...]] = ("pyomo", "pyscipopt")
    back_end: ClassVar[PyomoSolver] = "scip_direct"


@dataclass(frozen=True)
class Gurobi(_Equivalent, DirectGurobi[CutUnderUncertainty]):
    """Gurobi on the deterministic equivalent."""

    name: ClassVar[str] = "gurobi"
    requires: ClassVar[tuple[str, ...]] = ("gurobipy",)


@dataclass(frozen=True)
class PyomoGurobi(_Equivalent, OnGurobi[CutUnderUncertainty], ThroughPyomo[CutUnderUncertainty]):
    """Gurobi through Pyomo."""

    name: ClassVar[str] = "pyomo:gurobi_direct_minlp"
    requires: ClassVar[tuple[str, ...]] = ("pyomo", "gurobipy", "packaging")
    back_end: ClassVar[PyomoSolver] = "gurobi_direct_minlp"
