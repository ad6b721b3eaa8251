"""Schema of a submitted result.

Importing this module imports pydantic: do so in the functions that need it.
"""

from __future__ import annotations

from typing import Any

from splitopt.documents.schemas import Name, Record


class ClaimDocument(Record):
    """What is read of a submitted result, and held against its decision."""

    objective_name: Name
    outcome: Name
    stop_reason: Name
    objective: float | None
    bound: float | None
    decision: dict[str, Any] | None = None
