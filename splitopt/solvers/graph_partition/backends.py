"""The integer program of `GraphPartition` by HiGHS, SCIP and Gurobi."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from splitopt.problems.graph_partition import GraphPartition
from splitopt.problems.graph_partition.program import program_size
from splitopt.problems.size import Size
from splitopt.solvers.backends import solvers


@dataclass(frozen=True)
class _Partition(solvers.Limited[GraphPartition]):
    """The problem."""

    problem: ClassVar[str] = "graph_partition"
    objectives: ClassVar[frozenset[str]] = frozenset(GraphPartition.objectives)

    def size(self, problem: GraphPartition) -> Size:
        """Count variables and rows, without building the program."""
        return program_size(problem)

    def stated(self, problem: GraphPartition) -> tuple[GraphPartition, float]:
        """Return the problem, and a unit of time that brings the objective near one."""
        most = float(problem.accelerator_s.max()) * problem.periods(1)
        return problem, problem.bound() or most or 1.0

    def why_none(self, problem: GraphPartition, said: str) -> str:  # noqa: ARG002
        """Return what may help: only memory can be short."""
        return (
            f"no partition fits the memory of the accelerators ({said}); give them more, take "
            "more of them, or add a CPU, whose memory has no limit"
        )


@dataclass(frozen=True)
class Highs(_Partition, solvers.Highs[GraphPartition]):
    """HiGHS on the whole program."""


@dataclass(frozen=True)
class Scip(_Partition, solvers.OnlyPyomoScip[GraphPartition]):
    """SCIP on the whole program."""


@dataclass(frozen=True)
class Gurobi(_Partition, solvers.DirectGurobi[GraphPartition]):
    """Gurobi on the whole program."""


@dataclass(frozen=True)
class PyomoGurobi(_Partition, solvers.PyomoGurobi[GraphPartition]):
    """Gurobi through Pyomo."""
