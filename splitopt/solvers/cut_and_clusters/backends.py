"""`CutAndClusters` by HiGHS, SCIP and Gurobi: cut, clusters and subcarriers in one program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from splitopt.problems.cut_and_clusters import CutAndClusters
from splitopt.problems.cut_and_clusters.program import program_size
from splitopt.problems.size import Size
from splitopt.solvers.backends import solvers
from splitopt.solvers.cut_and_clusters.enumeration import NO_PARTITION


@dataclass(frozen=True)
class _Joint(solvers.Limited[CutAndClusters]):
    """The joint program: its size and its unit of time."""

    problem: ClassVar[str] = "cut_and_clusters"
    objectives: ClassVar[frozenset[str]] = frozenset(CutAndClusters.objectives)

    def size(self, problem: CutAndClusters) -> Size:
        """Count variables and rows, without building the program."""
        return program_size(problem)

    def why_none(self, problem: CutAndClusters, said: str) -> str:  # noqa: ARG002 - as the base
        """Return what is left as a reason where the problem itself knows none."""
        return f"{NO_PARTITION} ({said})"


@dataclass(frozen=True)
class Highs(_Joint, solvers.Highs[CutAndClusters]):
    """HiGHS on the joint program."""


@dataclass(frozen=True)
class Scip(_Joint, solvers.OnlyPyomoScip[CutAndClusters]):
    """SCIP on the joint program."""


@dataclass(frozen=True)
class Gurobi(_Joint, solvers.DirectGurobi[CutAndClusters]):
    """Gurobi on the joint program."""


@dataclass(frozen=True)
class PyomoGurobi(_Joint, solvers.PyomoGurobi[CutAndClusters]):
    """Gurobi through Pyomo."""
