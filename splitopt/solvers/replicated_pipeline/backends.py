"""The integer program of `ReplicatedPipeline` by HiGHS, SCIP and Gurobi."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from splitopt.problems.replicated_pipeline import ReplicatedPipeline
from splitopt.problems.replicated_pipeline.program import program_size
from splitopt.problems.size import Size
from splitopt.solvers.backends import solvers
from splitopt.solvers.replicated_pipeline.counts_dp import why_none


@dataclass(frozen=True)
class _Pipeline(solvers.Limited[ReplicatedPipeline]):
    """The problem."""

    problem: ClassVar[str] = "replicated_pipeline"
    objectives: ClassVar[frozenset[str]] = frozenset(ReplicatedPipeline.objectives)

    def size(self, problem: ReplicatedPipeline) -> Size:
        """Count variables and rows, without building the program."""
        return program_size(problem)

    def why_none(self, problem: ReplicatedPipeline, said: str) -> str:
        """Return what the solver of this problem would say."""
        return f"{why_none(problem)} ({said})"


@dataclass(frozen=True)
class Highs(_Pipeline, solvers.Highs[ReplicatedPipeline]):
    """HiGHS on the whole program."""


@dataclass(frozen=True)
class Scip(_Pipeline, solvers.OnlyPyomoScip[ReplicatedPipeline]):
    """SCIP on the whole program."""


@dataclass(frozen=True)
class Gurobi(_Pipeline, solvers.DirectGurobi[ReplicatedPipeline]):
    """Gurobi on the whole program."""


@dataclass(frozen=True)
class PyomoGurobi(_Pipeline, solvers.PyomoGurobi[ReplicatedPipeline]):
    """Gurobi through Pyomo."""
