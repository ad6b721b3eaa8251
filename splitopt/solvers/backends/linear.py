"""Problems with a mixed-integer linear program, by HiGHS, SCIP and Gurobi."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic

from splitopt.documents.checks import check_whole
from splitopt.problems.gurobi_environment import silent_environment
from splitopt.results import StopReason
from splitopt.solvers.backends.gurobi import run_gurobi
from splitopt.solvers.backends.licence import Sized, licence_problem, size_refusal
from splitopt.solvers.backends.pyomo import PyomoSolver, run_pyomo
from splitopt.solvers.base import Kind, P, Search, Solver


@dataclass(frozen=True)
class LinearBackEnd(Solver[P], Generic[P]):
    """What all back ends on a linear program do: nothing without time, and scaled seconds.

    A subclass for a problem says how large its program is and in which unit of time to build it.

    Parameters
    ----------
    most_variables
        Refuse a program with more variables than this, and say how many it has.
    """

    kind: ClassVar[Kind] = "exact"

    most_variables: int = field(default=200_000, kw_only=True)

    def __post_init__(self) -> None:
        check_whole("most_variables", self.most_variables, 1)

    @abstractmethod
    def size(self, problem: P) -> Sized:
        """Count variables and rows, without building the program."""

    @abstractmethod
    def unit_s(self, problem: P) -> float:
        """Return a unit of time in s that brings the objective near one."""

    def form(self) -> dict[str, Any]:
        """Return what the problem is told beside the unit of time when it builds its program."""
        return {}

    def refusal(self, problem: P) -> str | None:
        """Reject a program that would not fit into memory, with its size."""
        count = self.size(problem).variables
        if count <= self.most_variables:
            return None
        return (
            f"would build a program of {count:,} variables, more than its limit of "
            f"most_variables = {self.most_variables:,}"
        )

    def run(self, problem: P, search: Search) -> StopReason:
        """Build the program, let the back end solve it, and complete its decision."""
        return search.stop() or self._solve(problem, self.unit_s(problem), search)

    @abstractmethod
    def _solve(self, problem: Any, unit_s: float, search: Search) -> StopReason:
        """Build and solve."""


class ThroughPyomo(LinearBackEnd[P], Generic[P]):
    """The program built by Pyomo."""

    back_end: ClassVar[PyomoSolver]

    def _solve(self, problem: Any, unit_s: float, search: Search) -> StopReason:
        with search.building():
            built = problem.to_pyomo(unit_s=unit_s, **self.form())
        return search.stop() or run_pyomo(
            built.model, self.back_end, search, unit_s, built.decision
        )


class OnGurobi(LinearBackEnd[P], Generic[P]):
    """What all ways to Gurobi share: its licence, and the size that the licence may limit."""

    def licence(self) -> str | None:
        """Return why Gurobi does not start, or None when it does."""
        return licence_problem()

    def refusal(self, problem: P) -> str | None:
        """Reject a model over the size limit of the licence before it is built."""
        return super().refusal(problem) or size_refusal(self.size(problem))


class DirectGurobi(OnGurobi[P], Generic[P]):
    """The program built by gurobipy."""

    def _solve(self, problem: Any, unit_s: float, search: Search) -> StopReason:
        with silent_environment() as env:
            with search.building():
                built = problem.to_gurobi(env, unit_s=unit_s, **self.form())
            with built.model:
                return search.stop() or run_gurobi(
                    built.model, search, unit_s, built.decision, built.decision_in_callback
                )


@dataclass(frozen=True)
class Counted:
    """The size of a program."""

    variables: int
    linear_constraints: int
    quadratic_constraints: int = 0
    has_quadratic_terms: bool = False
