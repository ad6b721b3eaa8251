"""`CutAndResources` by SCIP and Gurobi, directly and through CVXPY and Pyomo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.cut_and_resources.cvxpy_model import cvxpy_size
from splitopt.problems.cut_and_resources.decision import CutAndResourcesDecision
from splitopt.problems.cut_and_resources.formulation import Formulation, model_size
from splitopt.problems.size import Size
from splitopt.solvers.backends import solvers
from splitopt.solvers.cut_and_resources.repair import repaired


def prepared(problem: CutAndResources) -> tuple[CutAndResources, float]:
    """Return the problem without its hopeless cuts, and a unit of time in s for its model.

    A device with the whole of every resource is as fast as it can be, so a cut that is slower even
    then than the objective of some plan is in no optimal plan, and its large numbers would only
    hurt the back end. The unit makes a typical latency about one.
    """
    alone = problem.work_s.sum(axis=2) + problem.own_s
    alone = np.where(problem.allowed, alone, np.inf)
    cuts = repaired(problem, alone.argmin(axis=1) + 1, alone)
    reached = problem.evaluate(problem.complete(alone.argmin(axis=1) + 1 if cuts is None else cuts))
    kept = problem.allowed
    if cuts is not None:  # a plan within all budgets: no cut is needed that is slower alone
        kept = kept & (alone <= reached * (1 + 1e-9))
    unit = reached / problem.devices if problem.objective == "sum" else reached
    return problem.restricted(kept), unit or 1.0


class _Prepared(solvers.BackEnd[CutAndResources]):
    """The model of the prepared problem: its size, and its cuts as a decision."""

    problem: ClassVar[str] = "cut_and_resources"
    objectives: ClassVar[frozenset[str]] = frozenset({"sum", "makespan"})

    def size(self, problem: CutAndResources) -> Size:
        """Count variables and rows, without building the model."""
        return model_size(prepared(problem)[0])

    def stated(self, problem: CutAndResources) -> tuple[CutAndResources, float]:
        """Return the problem without its hopeless cuts, and a unit of time in s for its model."""
        return prepared(problem)

    def form(self) -> dict[str, Any]:
        """Return that the model is the smallest one that takes the objective."""
        return {"formulation": None}

    def incumbent(self, built: Formulation) -> CutAndResourcesDecision | None:
        """Complete the cuts of the model's best solution, None without one."""
        return None if built.use_values() is None else built.decision()

    def has_cones(self, built: Formulation) -> bool:
        """Report whether the model has the shares as variables."""
        return built.formulation == "misocp"

    def why_none(self, problem: CutAndResources, said: str) -> str | None:  # noqa: ARG002
        """Return by how much budgets are missed, which alone can leave no cuts."""
        return None if problem.budgets is None else problem.over_budgets()


@dataclass(frozen=True)
class Scip(_Prepared, solvers.DirectScip[CutAndResources]):
    """SCIP on the MIQP of the sum, or on the cone program of the makespan."""


@dataclass(frozen=True)
class Gurobi(_Prepared, solvers.DirectGurobi[CutAndResources]):
    """Gurobi on the MIQP of the sum, or on the cone program of the makespan."""


@dataclass(frozen=True)
class CvxpyScip(_Prepared, solvers.CvxpyScip[CutAndResources]):
    """SCIP through CVXPY."""


@dataclass(frozen=True)
class CvxpyGurobi(_Prepared, solvers.CvxpyGurobi[CutAndResources]):
    """Gurobi through CVXPY."""

    def size(self, problem: CutAndResources) -> Size:
        """Count variables and rows; CVXPY adds a variable for every row of a cone."""
        return cvxpy_size(prepared(problem)[0])


@dataclass(frozen=True)
class PyomoScip(_Prepared, solvers.PyomoScip[CutAndResources]):
    """SCIP through Pyomo."""


@dataclass(frozen=True)
class PyomoGurobi(_Prepared, solvers.PyomoGurobi[CutAndResources]):
    """Gurobi through Pyomo."""
