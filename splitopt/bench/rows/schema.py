"""Schema of a result row.

Importing this module imports pydantic: do so in the functions that need it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, create_model

from splitopt.documents.schemas import Document, Name, Note
from splitopt.errors import InputError


def _not_negative(value: float) -> float:
    if value < 0:
        raise InputError(f"is {value}; it must be 0 or more")
    return value


Measured = Annotated[float, AfterValidator(_not_negative)]
"""Seconds or bytes of a row in memory, where they may be NaN."""
Point = Annotated[list[float | None], Field(min_length=3, max_length=3)]
"""Seconds since the start, objective, bound."""


class _Row(Document):
    """What rows in memory may have besides: numbers that are not finite count as no numbers."""

    model_config = ConfigDict(allow_inf_nan=True)


def row_document(types: Mapping[str, Any]) -> type[Document]:
    """Return the schema of a row, whose fields have these types unless narrower ones are known."""
    names = ("suite", "problem", "objective", "instance", "solver")
    limits = ("time_limit_s", "memory_limit_mib", "wall_s")
    measured = ("build_s", "solve_s", "total_s", "warmup_s", "peak_memory_mib", "gap")
    narrower: dict[str, Any] = {
        **dict.fromkeys(names, Name),
        **dict.fromkeys(limits, Measured),
        **dict.fromkeys(measured, Measured | None),
        "message": Note | None,
        "trace": list[Point],
        "machine": dict[str, str | int | float | None],
    }
    fields: dict[str, Any] = {name: (narrower.get(name, kind), ...) for name, kind in types.items()}
    return create_model("RowDocument", __base__=_Row, **fields)
