"""What a solver run gives back: what I have, why it stopped, and how far it is from the best."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from splitopt.documents.json_text import expect_format, read_json
from splitopt.documents.taking import path_of
from splitopt.errors import InputError, shown
from splitopt.extras import data_frame
from splitopt.outcomes import Outcome as Outcome
from splitopt.outcomes import StopReason as StopReason
from splitopt.showing import Drawn, Shown
from splitopt.storage.writing import write_json

FORMAT = "splitopt-result"
VERSION = 1
OPTIMAL_GAP = 1e-9
"""The relative gap at or below which an answer is called optimal."""

_TINY = 1e-300
_SAME = 1e-6
"""Relative difference of two values that other machines and libraries may make by rounding."""


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


class PlainData(Mapping[str, Any]):
    """Plain data of a file, to be read only."""

    __slots__ = ("_data",)

    def __init__(self, data: Mapping[str, Any]):
        self._data = dict(data)

    def __getitem__(self, key: str) -> Any:
        return self._data[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)


class SavedDecision(PlainData):
    """A decision as a file holds it, before its problem has read it.

    Problems take it like a decision of their own: ``problem.evaluate(result.decision)``.
    """

    def __repr__(self) -> str:
        return f"<SavedDecision of {self._data.get('problem')}: {', '.join(self._data)}>"

    def to_dict(self) -> dict[str, Any]:
        """Return the plain data."""
        return dict(self._data)


class Asked(Protocol):
    """What a problem does with a decision from a file."""

    name: str

    def decode(self, document: Mapping[str, Any], source: str = "decision") -> Any:
        """Read a decision from plain data."""
        ...

    def evaluate(self, decision: Any) -> float:
        """Return the objective value of a decision."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class Result(Shown, Drawn):
    """The answer of one solver run on one problem.

    Two results are equal if they say the same of everything but the time that it took (``times``
    and ``trace``): the same decision, found by the same solver with the same options, to the same
    objective and bound.

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

    def _brief(self) -> str:
        return (
            f"{self.problem}, {self.objective_name}: {self.outcome}, objective "
            f"{self.objective:.6g}, bound {self.bound:.6g}, {self.solver}"
        )

    def to_frame(self) -> Any:
        """Return the trace as a ``pandas.DataFrame``: time_s, objective, bound."""
        return trace_frame(self.trace)

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
            "format": FORMAT,
            "version": VERSION,
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
        write_json(path, self.to_dict(), indent=1)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Result):
            return NotImplemented
        left, right = self.to_dict(), other.to_dict()
        for name in ("times", "trace"):
            del left[name], right[name]
        return left == right

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def from_dict(
        cls, document: Any, source: str = "result", problem: Asked | None = None
    ) -> Result:
        """Read what `to_dict` wrote.

        Parameters
        ----------
        document
            Plain data of a result file.
        source
            The file, for messages.
        problem
            The problem that was solved: it then reads the decision, and its own value is held
            against the file's. Without it the decision is a `SavedDecision`.

        Raises
        ------
        InputError
            It is no result, its numbers deny each other, or it is of another problem.
        """
        from splitopt.documents.schemas import validated
        from splitopt.result_documents import ResultFileDocument

        checked = expect_format(document, source, FORMAT, VERSION)
        read = validated(ResultFileDocument, dict(checked), source)
        decision: Any = None if read.decision is None else SavedDecision(read.decision)
        objective = math.inf if read.objective is None else read.objective
        if decision is not None and problem is not None:
            decision = _decoded(read.problem, read.decision, objective, problem, source)
        found = cls(
            problem=read.problem,
            objective_name=read.objective_name,
            solver=read.solver,
            outcome=read.outcome,
            stop_reason=read.stop_reason,
            message=read.message,
            decision=decision,
            objective=objective,
            bound=_bound(read.bound, read.outcome),
            violations=read.violations,
            times=Times(**read.times.model_dump()),
            iterations=read.iterations,
            trace=tuple(
                TracePoint(
                    point.time_s,
                    math.inf if point.objective is None else point.objective,
                    -math.inf if point.bound is None else point.bound,
                )
                for point in read.trace
            ),
            seed=read.seed,
            options=read.options,
            versions=read.versions,
            details=read.details,
        )
        _expect_agreement(found, source)
        return found

    @classmethod
    def load(cls, path: str | Path, problem: Asked | None = None) -> Result:
        """Read a result file, see `from_dict`."""
        path = path_of(path)
        return cls.from_dict(read_json(path), str(path), problem)


def _expect_agreement(found: Result, source: str) -> None:
    """Raise `InputError` where the outcome is denied by the decision or by the gap."""
    if found.outcome in ("optimal", "feasible") and found.decision is None:
        raise InputError.at(f"{source}: decision", f"is null, but the outcome is {found.outcome!r}")
    if found.outcome == "optimal" and found.gap > OPTIMAL_GAP + _SAME:
        raise InputError.at(f"{source}: outcome", f"is 'optimal', but the gap is {found.gap:.3g}")


def _bound(value: float | None, outcome: Outcome) -> float:
    """Return the bound of a file, where null is infinite: above all where nothing is feasible."""
    if value is None:
        return math.inf if outcome == "infeasible" else -math.inf
    return value


def _decoded(name: str, document: Any, objective: float, problem: Asked, source: str) -> Any:
    """Return the decision as its problem reads it; raise `InputError` if it is of another one."""
    if problem.name != name:
        raise InputError.at(f"{source}: problem", f"is {shown(name)}, not {problem.name!r}")
    decision = problem.decode(document, f"{source}: decision")
    value = problem.evaluate(decision)
    if value != objective and not abs(value - objective) <= _SAME * abs(objective):
        raise InputError.at(
            f"{source}: objective",
            f"is {shown(objective)}, but on this problem the decision gives {value!r}: the result "
            "is of other data or another objective",
        )
    return decision


def trace_frame(trace: Sequence[TracePoint]) -> Any:
    """Return a trace as a ``pandas.DataFrame``: time_s, objective, bound."""
    columns = ("time_s", "objective", "bound")
    return data_frame([asdict(point) for point in trace], columns)


def finite_or_none(value: Any) -> Any:
    """Copy JSON-ready data with every NaN and infinity replaced by None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite_or_none(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_or_none(item) for item in value]
    return value
