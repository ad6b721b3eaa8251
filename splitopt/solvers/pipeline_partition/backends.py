"""MP-SL's integer program by HiGHS, SCIP and Gurobi: the approach of the paper, measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from splitopt.documents.checks import check_choice
from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.problems.pipeline_partition.formulation import CONTIGUITY, no_form
from splitopt.problems.size import Size
from splitopt.solvers.backends import solvers


@dataclass(frozen=True)
class _Partition(solvers.Limited[PipelinePartition]):
    """The problem. Back ends prove the objective only: of several optima they take any.

    Parameters
    ----------
    contiguity
        ``"linear"`` or ``"quadratic"``, see `PipelinePartition.to_pyomo`.
    """

    problem: ClassVar[str] = "pipeline_partition"
    objectives: ClassVar[frozenset[str]] = frozenset(PipelinePartition.objectives)

    contiguity: str = "linear"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("contiguity", self.contiguity, CONTIGUITY)

    def size(self, problem: PipelinePartition) -> Size:
        """Count variables and rows, without building the program (an upper count)."""
        nodes, layers = problem.nodes, problem.layers
        pairs = nodes * layers
        rows = layers + 3 * nodes
        if problem.order == "given":
            rows += nodes * (layers - 1)
        if self.contiguity == "quadratic":
            return Size(pairs + 2, rows, nodes * (layers - 1) * (layers - 2) // 2, True)
        kinds = 2 if problem.links.has_interfaces else 1
        rows += kinds * (pairs + nodes) + nodes
        rows += layers if problem.links.model == "uniform" else nodes
        if problem.objective == "round" and problem.owner_groups is not None:
            rows += 3 + len(problem.owner_groups.count)
        return Size((1 + kinds) * pairs + 3, rows)

    def stated(self, problem: PipelinePartition) -> tuple[PipelinePartition, float]:
        """Return the problem, and a unit of time in s that brings the period near one."""
        quickest = (problem.forward_s + problem.backward_s).min(axis=0)
        return problem, math.fsum(quickest.tolist()) / problem.nodes or 1.0

    def form(self) -> dict[str, Any]:
        """Return the form of contiguity."""
        return {"contiguity": self.contiguity}

    def refusal(self, problem: PipelinePartition) -> str | None:
        """Reject links and objectives that the integer program cannot state."""
        if self.contiguity == "quadratic" and not problem.links.costs_nothing:
            return "has no links with contiguity 'quadratic'; take 'linear'"
        return no_form(problem) or super().refusal(problem)

    def why_none(self, problem: PipelinePartition, said: str) -> str:  # noqa: ARG002
        """Return what may help."""
        return (
            f"no partition meets all constraints ({said}); more memory, fewer owners, or idle "
            "nodes (use_all_nodes: false) may help"
        )


@dataclass(frozen=True)
class Highs(_Partition, solvers.Highs[PipelinePartition]):
    """HiGHS on the linear program with binaries."""

    def refusal(self, problem: PipelinePartition) -> str | None:
        """Reject products, which HiGHS does not take."""
        if self.contiguity == "quadratic":
            return "takes no products of variables; use contiguity 'linear'"
        return super().refusal(problem)


@dataclass(frozen=True)
class Scip(_Partition, solvers.OnlyPyomoScip[PipelinePartition]):
    """SCIP on either form of contiguity."""


@dataclass(frozen=True)
class Gurobi(_Partition, solvers.DirectGurobi[PipelinePartition]):
    """Gurobi, as in MP-SL, on either form of contiguity."""


@dataclass(frozen=True)
class PyomoGurobi(_Partition, solvers.PyomoGurobi[PipelinePartition]):
    """Gurobi through Pyomo."""
