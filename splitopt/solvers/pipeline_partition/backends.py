"""MP-SL's integer program by HiGHS, SCIP and Gurobi: the approach of the paper, measured."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from splitopt.errors import InfeasibleError
from splitopt.problems.gurobi_environment import silent_environment
from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.problems.pipeline_partition.formulation import CONTIGUITY, model_size, no_form
from splitopt.results import StopReason
from splitopt.solvers.backends.endings import NoDecisionError
from splitopt.solvers.backends.gurobi import run_gurobi
from splitopt.solvers.backends.licence import licence_problem, size_refusal
from splitopt.solvers.backends.pyomo import PyomoSolver, run_pyomo
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.options import check_choice


def time_unit(problem: PipelinePartition) -> float:
    """Give a unit of time in s that brings the period near one."""
    quickest = (problem.forward_s + problem.backward_s).min(axis=0)
    return math.fsum(quickest.tolist()) / problem.nodes or 1.0


@dataclass(frozen=True)
class _BackEnd(Solver[PipelinePartition]):
    """What all back ends do. They prove the objective only: of several optima they take any.

    Parameters
    ----------
    contiguity
        ``"linear"`` or ``"quadratic"``, see `PipelinePartition.to_pyomo`.
    """

    problem: ClassVar[str] = "pipeline_partition"
    objectives: ClassVar[frozenset[str]] = frozenset(PipelinePartition.objectives)
    kind: ClassVar[Kind] = "exact"

    contiguity: str = "linear"

    def __post_init__(self) -> None:
        check_choice("contiguity", self.contiguity, CONTIGUITY)

    def refusal(self, problem: PipelinePartition) -> str | None:
        """Refuse links and objectives that the integer program cannot state."""
        if self.contiguity == "quadratic" and not problem.links.costs_nothing:
            return "has no links with contiguity 'quadratic'; take 'linear'"
        return no_form(problem)

    def run(self, problem: PipelinePartition, search: Search) -> StopReason:
        """Build the program, let the back end solve it, and read the assignment."""
        if (reason := search.stop()) is not None:
            return reason
        try:
            return self._solve(problem, time_unit(problem), search)
        except NoDecisionError as error:
            raise InfeasibleError(
                f"no partition meets all constraints ({error}); more memory, fewer owners, or idle "
                "nodes (use_all_nodes: false) may help"
            ) from None

    @abstractmethod
    def _solve(self, problem: PipelinePartition, unit_s: float, search: Search) -> StopReason:
        """Build and solve."""


class _Pyomo(_BackEnd):
    """The program built by Pyomo."""

    back_end: ClassVar[PyomoSolver]

    def _solve(self, problem: PipelinePartition, unit_s: float, search: Search) -> StopReason:
        with search.building():
            model = problem.to_pyomo(self.contiguity, unit_s)
        return search.stop() or run_pyomo(
            model.model, self.back_end, search, unit_s, model.decision
        )


@dataclass(frozen=True)
class Highs(_Pyomo):
    """HiGHS on the linear program with binaries."""

    name: ClassVar[str] = "highs"
    requires: ClassVar[tuple[str, ...]] = ("pyomo", "highspy")
    back_end: ClassVar[PyomoSolver] = "highs"

    def refusal(self, problem: PipelinePartition) -> str | None:
        """Refuse products, which HiGHS does not take."""
        if self.contiguity == "quadratic":
            return "takes no products of variables; use contiguity 'linear'"
        return super().refusal(problem)


@dataclass(frozen=True)
class Scip(_Pyomo):
    """SCIP on either form of contiguity."""

    name: ClassVar[str] = "scip"
    requires: ClassVar[tuple[str, ...]] = ("pyomo", "pyscipopt")
    back_end: ClassVar[PyomoSolver] = "scip_direct"


class _OnGurobi(_BackEnd):
    """What both ways to Gurobi share: its licence, and the size that the licence may limit."""

    def licence(self) -> str | None:
        """Say why Gurobi does not start, or None when it does."""
        return licence_problem()

    def refusal(self, problem: PipelinePartition) -> str | None:
        """Refuse a model over the size limit of the licence before it is built."""
        return super().refusal(problem) or size_refusal(model_size(problem, self.contiguity))


@dataclass(frozen=True)
class Gurobi(_OnGurobi):
    """Gurobi, as in MP-SL, on either form of contiguity."""

    name: ClassVar[str] = "gurobi"
    requires: ClassVar[tuple[str, ...]] = ("gurobipy",)

    def _solve(self, problem: PipelinePartition, unit_s: float, search: Search) -> StopReason:
        with silent_environment() as env:
            with search.building():
                model = problem.to_gurobi(env, self.contiguity, unit_s)
            with model.model:
                return search.stop() or run_gurobi(
                    model.model, search, unit_s, model.decision, model.decision_in_callback
                )


@dataclass(frozen=True)
class PyomoGurobi(_OnGurobi, _Pyomo):
    """Gurobi through Pyomo."""

    name: ClassVar[str] = "pyomo:gurobi_direct_minlp"
    requires: ClassVar[tuple[str, ...]] = ("pyomo", "gurobipy", "packaging")
    back_end: ClassVar[PyomoSolver] = "gurobi_direct_minlp"
