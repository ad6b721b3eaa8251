"""Schemas of results: as part of a plan file, and as a file of their own.

Importing this module imports pydantic: do so in the functions that need it.
"""

from __future__ import annotations

from typing import Any, Literal

from splitopt.documents.schemas import Amount, Count, Document, Name, Note, Plain, Record
from splitopt.outcomes import Outcome, StopReason


class TimesDocument(Document):
    """Seconds of a run."""

    build_s: Amount
    solve_s: Amount
    total_s: Amount


class PointDocument(Document):
    """An improvement during a run; null is infinite."""

    time_s: float
    objective: float | None
    bound: float | None


class ResultDocument(Record):
    """How a decision was found; other versions may say more of it."""

    solver: Name
    outcome: Outcome
    stop_reason: StopReason
    message: Note | None
    objective: float | None
    bound: float | None
    gap: Amount | None
    violations: dict[str, float]
    times: TimesDocument
    iterations: Count
    trace: list[PointDocument]
    seed: int
    options: Plain
    versions: dict[Name, Name]
    details: Plain


class ResultFileDocument(ResultDocument):
    """A result in a file of its own, with the decision."""

    format: Literal["splitopt-result"]
    version: Literal[1]
    problem: Name
    objective_name: Name
    decision: dict[str, Any] | None
