"""`ClusterAndSpectrum` by HiGHS, SCIP and Gurobi: the joint program of clusters and subcarriers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum
from splitopt.problems.size import Size
from splitopt.solvers.backends import solvers


def round_size(problem: ClusterAndSpectrum) -> Size:
    """Count the joint program (rows of symmetry from above)."""
    sizes = problem.cluster_sizes.tolist()
    levels = sum(max(problem.subcarriers - size + 1, 0) for size in sizes)
    phases = 3 if problem.inner_phases else 2
    rows = problem.devices * (1 + (phases + 1) * len(sizes)) + 2 * len(sizes)
    return Size(problem.devices * levels + phases * len(sizes), rows)


class _Joint(solvers.Limited[ClusterAndSpectrum]):
    """The joint program: its size and its unit of time."""

    problem: ClassVar[str] = "cluster_and_spectrum"
    objectives: ClassVar[frozenset[str]] = frozenset(ClusterAndSpectrum.objectives)

    def size(self, problem: ClusterAndSpectrum) -> Size:
        """Count variables and rows, without building the program."""
        return round_size(problem)


@dataclass(frozen=True)
class Highs(_Joint, solvers.Highs[ClusterAndSpectrum]):
    """HiGHS on the joint program."""


@dataclass(frozen=True)
class Scip(_Joint, solvers.OnlyPyomoScip[ClusterAndSpectrum]):
    """SCIP on the joint program."""


@dataclass(frozen=True)
class Gurobi(_Joint, solvers.DirectGurobi[ClusterAndSpectrum]):
    """Gurobi on the joint program."""


@dataclass(frozen=True)
class PyomoGurobi(_Joint, solvers.PyomoGurobi[ClusterAndSpectrum]):
    """Gurobi through Pyomo."""
