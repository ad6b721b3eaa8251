"""The back ends as solvers of any problem that builds a model; a problem's folder names its own.

A problem's ``backends.py`` derives from `BackEnd` (or from `Limited`) once, saying what differs:
how large its model is, in which unit of time to build it, and how a decision is read from it. Each
of its solvers then joins that class with one of the classes below.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic

from splitopt.documents.checks import check_whole
from splitopt.errors import InfeasibleError
from splitopt.problems.gurobi_environment import silent_environment
from splitopt.problems.size import Size
from splitopt.results import Decision, StopReason
from splitopt.solvers.backends.cvxpy import run_cvxpy
from splitopt.solvers.backends.endings import NoDecisionError
from splitopt.solvers.backends.gurobi import run_gurobi
from splitopt.solvers.backends.licence import licence_problem, size_refusal
from splitopt.solvers.backends.pyomo import PyomoSolver, run_pyomo
from splitopt.solvers.backends.scip import run_scip
from splitopt.solvers.base import Kind, P, Search, Solver


class BackEnd(Solver[P], Generic[P]):
    """What all back ends do: nothing without time, and one model in scaled seconds."""

    kind: ClassVar[Kind] = "exact"

    @abstractmethod
    def size(self, problem: P) -> Size:
        """Count variables and rows, without building the model."""

    def stated(self, problem: P) -> tuple[P, float]:
        """Return the problem to build the model of, and a unit of time in s for it.

        The unit brings the objective near one; that of most is the cheap bound, which is near the
        optimum.
        """
        return problem, problem.bound() or 1.0

    def form(self) -> dict[str, Any]:
        """Return what the problem is told beside the unit of time when it builds its model."""
        return {}

    def incumbent(self, built: Any) -> Decision | None:
        """Read the decision of the best solution that a built model holds, None without one."""
        decision: Decision | None = built.decision()
        return decision

    def why_none(self, problem: P, said: str) -> str | None:  # noqa: ARG002 - as above
        """Return why no decision is feasible, where the back end proves it; None if unknown.

        Parameters
        ----------
        problem
            What was asked.
        said
            What the back end says.
        """
        return None

    def has_cones(self, built: Any) -> bool:  # noqa: ARG002 - for subclasses to use
        """Report whether a built model has many second-order cones."""
        return False

    def run(self, problem: P, search: Search) -> StopReason:
        """Build the model, let the back end solve it, and complete its decision.

        Raises
        ------
        InfeasibleError
            The back end proves that no decision is feasible, and `why_none` says why.
        """
        try:
            return search.stop() or self._solve(*self.stated(problem), search)
        except NoDecisionError as error:
            if (reason := self.why_none(problem, str(error))) is None:
                raise
            raise InfeasibleError(reason) from None

    @abstractmethod
    def _solve(self, problem: Any, unit_s: float, search: Search) -> StopReason:
        """Build and solve."""


@dataclass(frozen=True)
class Limited(BackEnd[P], Generic[P]):
    """A back end on a program that must fit into memory.

    Parameters
    ----------
    most_variables
        Refuse a program with more variables than this, and say how many it has.
    """

    most_variables: int = field(default=200_000, kw_only=True)

    def __post_init__(self) -> None:
        check_whole("most_variables", self.most_variables, 1)

    def refusal(self, problem: P) -> str | None:
        """Reject a program that would not fit into memory, with its size."""
        count = self.size(problem).variables
        if count <= self.most_variables:
            return super().refusal(problem)
        return (
            f"would build a program of {count:,} variables, more than its limit of "
            f"most_variables = {self.most_variables:,}"
        )


class OnGurobi(BackEnd[P], Generic[P]):
    """What all ways to Gurobi share: its licence, and the size that the licence may limit."""

    def licence(self) -> str | None:
        """Return why Gurobi does not start, or None when it does."""
        return licence_problem()

    def refusal(self, problem: P) -> str | None:
        """Reject a model over the size limit of the licence before it is built."""
        return super().refusal(problem) or size_refusal(self.size(problem))


class DirectGurobi(OnGurobi[P], Generic[P]):
    """Gurobi on a model of gurobipy."""

    name: ClassVar[str] = "gurobi"
    requires: ClassVar[tuple[str, ...]] = ("gurobipy",)

    def _solve(self, problem: Any, unit_s: float, search: Search) -> StopReason:
        with silent_environment() as env:
            with search.building():
                built = problem.to_gurobi(env, unit_s=unit_s, **self.form())
            with built.model:
                return search.stop() or run_gurobi(
                    built.model,
                    search,
                    unit_s,
                    lambda: self.incumbent(built),
                    built.decision_in_callback,
                )


class DirectScip(BackEnd[P], Generic[P]):
    """SCIP on a model of PySCIPOpt."""

    name: ClassVar[str] = "scip"
    requires: ClassVar[tuple[str, ...]] = ("pyscipopt",)

    def _solve(self, problem: Any, unit_s: float, search: Search) -> StopReason:
        with search.building():
            built = problem.to_scip(unit_s=unit_s, **self.form())
        return search.stop() or run_scip(built.model, search, unit_s, lambda: self.incumbent(built))


class ThroughCvxpy(BackEnd[P], Generic[P]):
    """A solver on a program of CVXPY."""

    back_end: ClassVar[str]

    def _solve(self, problem: Any, unit_s: float, search: Search) -> StopReason:
        with search.building():
            built = problem.to_cvxpy(unit_s=unit_s, **self.form())
            program = built.program()
        return search.stop() or run_cvxpy(
            program,
            self.back_end,
            search,
            unit_s,
            lambda: self.incumbent(built),
            self.has_cones(built),
        )


class CvxpyScip(ThroughCvxpy[P], Generic[P]):
    """SCIP through CVXPY."""

    name: ClassVar[str] = "cvxpy:SCIP"
    requires: ClassVar[tuple[str, ...]] = ("cvxpy", "pyscipopt")
    back_end: ClassVar[str] = "SCIP"


class CvxpyGurobi(OnGurobi[P], ThroughCvxpy[P], Generic[P]):
    """Gurobi through CVXPY."""

    name: ClassVar[str] = "cvxpy:GUROBI"
    requires: ClassVar[tuple[str, ...]] = ("cvxpy", "gurobipy")
    back_end: ClassVar[str] = "GUROBI"


class ThroughPyomo(BackEnd[P], Generic[P]):
    """A solver on a model of Pyomo."""

    back_end: ClassVar[PyomoSolver]

    def _solve(self, problem: Any, unit_s: float, search: Search) -> StopReason:
        with search.building():
            built = problem.to_pyomo(unit_s=unit_s, **self.form())
        return search.stop() or run_pyomo(
            built.model,
            self.back_end,
            search,
            unit_s,
            lambda: self.incumbent(built),
            self.has_cones(built),
        )


class Highs(ThroughPyomo[P], Generic[P]):
    """HiGHS, which is reached through Pyomo only."""

    name: ClassVar[str] = "highs"
    requires: ClassVar[tuple[str, ...]] = ("pyomo", "highspy")
    back_end: ClassVar[PyomoSolver] = "highs"


class PyomoScip(ThroughPyomo[P], Generic[P]):
    """SCIP through Pyomo."""

    name: ClassVar[str] = "pyomo:scip_direct"
    requires: ClassVar[tuple[str, ...]] = ("pyomo", "pyscipopt")
    back_end: ClassVar[PyomoSolver] = "scip_direct"


class OnlyPyomoScip(PyomoScip[P], Generic[P]):
    """SCIP for a problem that builds no model of PySCIPOpt: through Pyomo, under SCIP's name."""

    name: ClassVar[str] = "scip"


class PyomoGurobi(OnGurobi[P], ThroughPyomo[P], Generic[P]):
    """Gurobi through Pyomo."""

    name: ClassVar[str] = "pyomo:gurobi_direct_minlp"
    requires: ClassVar[tuple[str, ...]] = ("pyomo", "gurobipy", "packaging")
    back_end: ClassVar[PyomoSolver] = "gurobi_direct_minlp"
