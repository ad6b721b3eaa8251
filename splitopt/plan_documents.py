"""Schema of a plan file: its envelope.

Importing this module imports pydantic: do so in the functions that need it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from splitopt.documents.schemas import Document, Name, Note
from splitopt.result_documents import ResultDocument

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class HashesDocument(Document):
    """SHA-256 of each part."""

    scenario: Digest
    profile: Digest
    decision: Digest
    prediction: Digest
    result: Digest


class PlanDocument(Document):
    """The envelope; what is in scenario, profile, decision and prediction is read by others."""

    format: Literal["splitopt-plan"]
    version: Literal[1]
    minor: Literal[1]
    problem: Name
    objective: Name
    scenario: dict[str, Any]
    profile: dict[str, Any]
    decision: dict[str, Any] | None
    prediction: dict[str, Any] | None
    result: ResultDocument
    notes: list[Note]
    hashes: HashesDocument
