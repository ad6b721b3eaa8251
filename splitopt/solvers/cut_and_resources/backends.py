"""`CutAndResources` by SCIP and Gurobi, directly and through CVXPY and Pyomo."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from splitopt.errors import InfeasibleError
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.cut_and_resources.budgets import no_cuts_within
from splitopt.problems.cut_and_resources.cvxpy_model import cvxpy_size
from splitopt.problems.cut_and_resources.decision import CutAndResourcesDecision
from splitopt.problems.cut_and_resources.formulation import Formulation, model_size
from splitopt.problems.gurobi_environment import silent_environment
from splitopt.results import StopReason
from splitopt.solvers.backends.cvxpy import run_cvxpy
from splitopt.solvers.backends.endings import NoDecisionError
from splitopt.solvers.backends.gurobi import run_gurobi
from splitopt.solvers.backends.licence import licence_problem, size_refusal
from splitopt.solvers.backends.pyomo import run_pyomo
from splitopt.solvers.backends.scip import run_scip
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.cut_and_resources.repair import repaired


def prepared(problem: CutAndResources) -> tuple[CutAndResources, float]:
    """Return the problem without its hopeless cuts, and a unit of time in s for its model.

    A device with the whole of every resource is as fast as it can be, so a cut that is slower even
    then than the objective of some plan is in no optimal plan, and its large numbers would only
    hurt the back end. The unit makes a typical latency about one.
    """
    alone = problem.download_s + problem.upload_s + problem.server_s + problem.device_s
    alone = np.where(problem.allowed, alone, np.inf)
    cuts = repaired(problem, alone.argmin(axis=1) + 1, alone)
    reached = problem.evaluate(problem.complete(alone.argmin(axis=1) + 1 if cuts is None else cuts))
    kept = problem.allowed
    if cuts is not None:  # a plan within all budgets: no cut is needed that is slower alone
        kept = kept & (alone <= reached * (1 + 1e-9))
    unit = reached / problem.devices if problem.objective == "sum" else reached
    return problem.restricted(kept), unit or 1.0


@dataclass(frozen=True)
class _BackEnd(Solver[CutAndResources]):
    """What all back ends do: nothing without time, and work on the prepared problem."""

    problem: ClassVar[str] = "cut_and_resources"
    objectives: ClassVar[frozenset[str]] = frozenset({"sum", "makespan"})
    kind: ClassVar[Kind] = "exact"

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        """Build the model, let the back end solve it, and complete its cuts.

        Raises
        ------
        InfeasibleError
            The back end says that no cuts keep all budgets together.
        """
        if (reason := search.stop()) is not None:
            return reason
        try:
            return self._solve(*prepared(problem), search)
        except NoDecisionError:
            if problem.budgets is None:
                raise
            raise InfeasibleError(no_cuts_within(problem.budgets, problem.allowed)) from None

    @abstractmethod
    def _solve(self, problem: CutAndResources, unit_s: float, search: Search) -> StopReason:
        """Build and solve."""


class _OnGurobi(_BackEnd):
    """What all ways to Gurobi share: its licence, and the size that the licence may limit."""

    def licence(self) -> str | None:
        """Report why Gurobi does not start, or None when it does."""
        return licence_problem()

    def refusal(self, problem: CutAndResources) -> str | None:
        """Reject a model over the size limit of the licence before it is built."""
        return size_refusal(model_size(prepared(problem)[0]))


def _incumbent(model: Formulation) -> CutAndResourcesDecision | None:
    return None if model.use_values() is None else model.decision()


@dataclass(frozen=True)
class Scip(_BackEnd):
    """SCIP on the MIQP of the sum, or on the cone program of the makespan."""

    name: ClassVar[str] = "scip"
    requires: ClassVar[tuple[str, ...]] = ("pyscipopt",)

    def _solve(self, problem: CutAndResources, unit_s: float, search: Search) -> StopReason:
        with search.building():
            model = problem.to_scip(unit_s=unit_s)
        return search.stop() or run_scip(model.model, search, unit_s, lambda: _incumbent(model))


@dataclass(frozen=True)
class Gurobi(_OnGurobi):
    """Gurobi on the MIQP of the sum, or on the cone program of the makespan."""

    name: ClassVar[str] = "gurobi"
    requires: ClassVar[tuple[str, ...]] = ("gurobipy",)

    def _solve(self, problem: CutAndResources, unit_s: float, search: Search) -> StopReason:
        with silent_environment() as env:
            with search.building():
                model = problem.to_gurobi(env, unit_s=unit_s)
            with model.model:
                return search.stop() or run_gurobi(
                    model.model,
                    search,
                    unit_s,
                    lambda: _incumbent(model),
                    model.decision_in_callback,
                )


def _has_cones(model: Formulation) -> bool:
    return model.formulation == "misocp"


class _Cvxpy(_BackEnd):
    """The cone program of the sum without shares, or that of the makespan with them."""

    back_end: ClassVar[str]

    def _solve(self, problem: CutAndResources, unit_s: float, search: Search) -> StopReason:
        with search.building():
            model = problem.to_cvxpy(formulation=None, unit_s=unit_s)
            program = model.program()
        return search.stop() or run_cvxpy(
            program, self.back_end, search, unit_s, lambda: _incumbent(model), _has_cones(model)
        )


@dataclass(frozen=True)
class CvxpyScip(_Cvxpy):
    """SCIP through CVXPY."""

    name: ClassVar[str] = "cvxpy:SCIP"
    requires: ClassVar[tuple[str, ...]] = ("cvxpy", "pyscipopt")
    back_end: ClassVar[str] = "SCIP"


@dataclass(frozen=True)
class CvxpyGurobi(_OnGurobi, _Cvxpy):
    """Gurobi through CVXPY."""

    name: ClassVar[str] = "cvxpy:GUROBI"
    requires: ClassVar[tuple[str, ...]] = ("cvxpy", "gurobipy")
    back_end: ClassVar[str] = "GUROBI"

    def refusal(self, problem: CutAndResources) -> str | None:
        """Reject a model over the size limit; CVXPY adds a variable for every row of a cone."""
        return size_refusal(cvxpy_size(prepared(problem)[0]))


class _Pyomo(_BackEnd):
    """Pyomo's MIQP of the sum, or cone program of the makespan."""

    back_end: ClassVar[Literal["scip_direct", "gurobi_direct_minlp"]]

    def _solve(self, problem: CutAndResources, unit_s: float, search: Search) -> StopReason:
        with search.building():
            model = problem.to_pyomo(unit_s=unit_s)
        return search.stop() or run_pyomo(
            model.model, self.back_end, search, unit_s, lambda: _incumbent(model), _has_cones(model)
        )


@dataclass(frozen=True)
class PyomoScip(_Pyomo):
    """SCIP through Pyomo."""

    name: ClassVar[str] = "pyomo:scip_direct"
    requires: ClassVar[tuple[str, ...]] = ("pyomo", "pyscipopt")
    back_end: ClassVar[Literal["scip_direct", "gurobi_direct_minlp"]] = "scip_direct"


@dataclass(frozen=True)
class PyomoGurobi(_OnGurobi, _Pyomo):
    """Gurobi through Pyomo."""

    name: ClassVar[str] = "pyomo:gurobi_direct_minlp"
    requires: ClassVar[tuple[str, ...]] = ("pyomo", "gurobipy", "packaging")
    back_end: ClassVar[Literal["scip_direct", "gurobi_direct_minlp"]] = "gurobi_direct_minlp"
