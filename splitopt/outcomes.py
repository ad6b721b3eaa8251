"""The words of every result: what there is, and why the run ended."""

from __future__ import annotations

from typing import Literal

Outcome = Literal["optimal", "feasible", "no_solution", "infeasible", "error"]
StopReason = Literal[
    "proved", "gap", "time", "iterations", "converged", "interrupted", "solver_error"
]
