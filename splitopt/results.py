"""What a solver run gives back: what I have, why it stopped, and how far it is from the best."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from splitopt.storage.writing import write_atomic

Outcome = Literal["optimal", "feasible", "no_solution", "infeasible", "error"]
StopReason = Literal[
    "proved", "gap", "time", "iterations", "converged", "interrupted", "solver_error"
]

OPTIMAL_GAP = 1e-9
"""The relative gap at or below which an answer is called optimal."""

_TINY = 1e-300


class Decision(Protocol):
    """What every problem's decision can do: be written as plain data."""

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as JSON-ready data with the field ``problem``."""
        ...


def relative_gap(objective: float, bound: float) -> float:
    """Distance of an objective from a lower bound: (objective - bound) / |objective|.

    The one definition of the gap in splitopt. It is infinite without a finite objective or bound,
    and a bound above the objective by rounding alone counts as zero.
    """
    if not (math.isfinite(objective) and math.isfinite(bound)):
        return math.inf
    return max(0.0, objective - bound) / max(abs(objective), _TINY)


@dataclass(frozen=True)
class TracePoint:
    """One improvement of the best objective or of the bound; time in s since the start."""

    time_s: float
    objective: float
    bound: float


@dataclass(frozen=True)
class Times:
    """Wall-clock times of a run in s: building models, solving, and everything."""

    build_s: float = 0.0
    solve_s: float = 0.0
    total_s: float = 0.0


@dataclass(frozen=True)
class Result:
    """The answer of one solver run on one problem.

    ``outcome`` says what there is and ``stop_reason`` why the run ended. ``objective`` is the
    problem's own evaluation of ``decision`` (infinite without one), ``bound`` a valid lower bound
    or ``-inf``. ``details`` is free for what a solver counts beside (messages, nodes, ...).
    """

    problem: str
    objective_name: str
    solver: str
    outcome: Outcome = "no_solution"
    stop_reason: StopReason = "solver_error"
    message: str | None = None
    decision: Decision | None = None
    objective: float = math.inf
    bound: float = -math.inf
    violations: Mapping[str, float] = field(default_factory=dict)
    times: Times = Times()
    iterations: int = 0
    trace: tuple[TracePoint, ...] = ()
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def gap(self) -> float:
        """Relative distance of the objective from the bound, see `relative_gap`."""
        return relative_gap(self.objective, self.bound)

    @property
    def is_feasible(self) -> bool:
        """Whether there is a decision that violates nothing."""
        return self.decision is not None and self.outcome in ("optimal", "feasible")

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON-ready data; a number that is not finite is None."""
        document = {
            "format": "splitopt-result",
            "version": 1,
            "problem": self.problem,
            "objective_name": self.objective_name,
            "solver": self.solver,
            "outcome": self.outcome,
            "stop_reason": self.stop_reason,
            "message": self.message,
            "objective": self.objective,
            "bound": self.bound,
            "gap": self.gap,
            "violations": dict(self.violations),
            "times": asdict(self.times),
            "iterations": self.iterations,
            "trace": [asdict(point) for point in self.trace],
            "seed": self.seed,
            "options": dict(self.options),
            "versions": dict(self.versions),
            "details": dict(self.details),
            "decision": None if self.decision is None else self.decision.to_dict(),
        }
        finite: dict[str, Any] = finite_or_none(document)
        return finite

    def save(self, path: str | Path) -> None:
        """Write the result as one JSON object, atomically."""
        write_atomic(path, json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")


def finite_or_none(value: Any) -> Any:
    """Copy JSON-ready data with every NaN and infinity replaced by None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite_or_none(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_or_none(item) for item in value]
    return value
