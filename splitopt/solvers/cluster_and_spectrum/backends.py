"""`ClusterAndSpectrum` by HiGHS, SCIP and Gurobi: the joint program of clusters and subcarriers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum
from splitopt.solvers.backends.linear import Counted, DirectGurobi, OnGurobi, ThroughPyomo
from splitopt.solvers.backends.pyomo import PyomoSolver


def round_size(problem: ClusterAndSpectrum) -> Counted:
    """Count the joint program (rows of symmetry from above)."""
    sizes = problem.cluster_sizes.tolist()
    levels = sum(max(problem.subcarriers - size + 1, 0) for size in sizes)
    phases = 3 if problem.inner_phases else 2
    rows = problem.devices * (1 + (phases + 1) * len(sizes)) + 2 * len(sizes)
    return Counted(problem.devices * levels + phases * len(sizes), rows)


class _Joint:
    """The problem, its size and its unit of time."""

    problem: ClassVar[str] = "cluster_and_spectrum"
    objectives: ClassVar[frozenset[str]] = frozenset(ClusterAndSpectrum.objectives)

    def size(self, problem: ClusterAndSpectrum) -> Counted:
        """Count variables and rows, without building the program."""
        return round_size(problem)

    def unit_s(self, problem: ClusterAndSpectrum) -> float:
        """Return the cheap bound of the problem, which is near its optimum."""
        return problem.bound() or 1.0


@dataclass(frozen=True)
class Highs(_Joint, ThroughPyomo[ClusterAndSpectrum]):
    """HiGHS on the joint program."""

    name: ClassVar[str] = "highs"
    requires: ClassVar[tuple[str, ...]] = ("pyomo", "highspy")
    back_end: ClassVar[PyomoSolver] = "highs"


@dataclass(frozen=True)
class Scip(_Joint, ThroughPyomo[ClusterAndSpectrum]):
    """SCIP on the joint program."""

    name: ClassVar[str] = "scip"
    requires: ClassVar[tuple[str, ...]] = ("pyomo", "pyscipopt")
    back_end: ClassVar[PyomoSolver] = "scip_direct"


@dataclass(frozen=True)
class Gurobi(_Joint, DirectGurobi[ClusterAndSpectrum]):
    """Gurobi on the joint program."""

    name: ClassVar[str] = "gurobi"
    requires: ClassVar[tuple[str, ...]] = ("gurobipy",)


@dataclass(frozen=True)
class PyomoGurobi(_Joint, OnGurobi[ClusterAndSpectrum], ThroughPyomo[ClusterAndSpectrum]):
    """Gurobi through Pyomo."""

    name: ClassVar[str] = "pyomo:gurobi_direct_minlp"
    requires: ClassVar[tuple[str, ...]] = ("pyomo", "gurobipy", "packaging")
    back_end: ClassVar[PyomoSolver] = "gurobi_direct_minlp"
