"""Solving one of many pipelines to a proof."""

from __future__ import annotations

from typing import Any

from splitopt.driver import solve
from splitopt.errors import SolveError
from splitopt.problems.pipeline_partition import PipelinePartition, PipelinePartitionDecision
from splitopt.results import Result
from splitopt.solvers.base import Solver


def proved(
    problem: PipelinePartition,
    solver: str | Solver[Any] = "auto",
    time_limit_s: float | None = None,
) -> tuple[Result, PipelinePartitionDecision | None]:
    """Return the answer that is proved best, with its decision; None where it is proved to be none.

    Raises
    ------
    SolveError
        The solver ended without a proof.
    """
    result = solve(problem, solver, time_limit_s=time_limit_s)
    if result.outcome == "infeasible":
        return result, None
    if result.outcome != "optimal":
        raise SolveError(f"{result.solver} ended without a proof ({result.message})", result)
    assert isinstance(result.decision, PipelinePartitionDecision)
    return result, result.decision
