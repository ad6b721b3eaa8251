"""The integer program of `GeneratorPairing` by HiGHS, SCIP and Gurobi."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from splitopt.problems.generator_pairing import GeneratorPairing
from splitopt.problems.generator_pairing.program import program_size
from splitopt.problems.size import Size
from splitopt.results import StopReason
from splitopt.solvers.backends import solvers
from splitopt.solvers.base import Search


@dataclass(frozen=True)
class _Pairing(solvers.Limited[GeneratorPairing]):
    """The problem."""

    problem: ClassVar[str] = "generator_pairing"
    objectives: ClassVar[frozenset[str]] = frozenset(GeneratorPairing.objectives)

    def size(self, problem: GeneratorPairing) -> Size:
        """Count variables and rows, without building the program."""
        return program_size(problem)

    def stated(self, problem: GeneratorPairing) -> tuple[GeneratorPairing, float]:
        """Return the problem, and a unit of cost that brings the objective near one."""
        bound = problem.bound()
        return problem, bound if bound > 0 else float(problem.cost.max()) or 1.0

    def why_none(self, problem: GeneratorPairing, said: str) -> str:  # noqa: ARG002
        """Return what may help: only caps can be in the way."""
        return (
            f"the caps allow no pairing that covers every class ({said}); raise the caps "
            "(set_cover names the classes)"
        )

    def run(self, problem: GeneratorPairing, search: Search) -> StopReason:
        """Build the program, let the back end solve it, and read the senders."""
        if not problem.need.any():  # an empty program is an error to some of them
            search.propose(problem.complete([[] for _ in range(problem.devices)]))
            search.prove(0.0)
            return "proved"
        return super().run(problem, search)


@dataclass(frozen=True)
class Highs(_Pairing, solvers.Highs[GeneratorPairing]):
    """HiGHS on the whole program."""


@dataclass(frozen=True)
class Scip(_Pairing, solvers.OnlyPyomoScip[GeneratorPairing]):
    """SCIP on the whole program."""


@dataclass(frozen=True)
class Gurobi(_Pairing, solvers.DirectGurobi[GeneratorPairing]):
    """Gurobi on the whole program."""


@dataclass(frozen=True)
class PyomoGurobi(_Pairing, solvers.PyomoGurobi[GeneratorPairing]):
    """Gurobi through Pyomo."""
