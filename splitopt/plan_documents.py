"""Schemas of a plan file: its envelope and its result.

Importing this module imports pydantic: do so in the functions that need it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from splitopt.documents.schemas import Amount, Count, Document, Name, Note, Plain, Record
from splitopt.results import Outcome, StopReason

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


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


class HashesDocument(Document):
    """SHA-256 of each part."""

    scenario: Digest
    profile: Digest
    decision: Digest
    prediction: Digest


class PlanDocument(Document):
    """The envelope; what is in scenario, profile, decision and prediction is read by others."""

    format: Literal["splitopt-plan"]
    version: Literal[1]
    problem: Name
    objective: Name
    scenario: dict[str, Any]
    profile: dict[str, Any]
    decision: dict[str, Any] | None
    prediction: dict[str, Any] | None
    result: ResultDocument
    notes: list[Note]
    hashes: HashesDocument
