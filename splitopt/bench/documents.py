"""Schemas of what the benchmark reads: the library's metadata, result rows, submitted results.

Importing this module imports pydantic: do so in the functions that need it.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import AfterValidator, ConfigDict, Field, create_model, model_validator

from splitopt.bench.families import InstanceSet, Kind
from splitopt.bench.rows import Row
from splitopt.documents.schemas import Count, Document, Name, Note, Record
from splitopt.errors import InputError


def _not_negative(value: float) -> float:
    if value < 0:
        raise InputError(f"is {value}; it must be 0 or more")
    return value


Measured = Annotated[float, AfterValidator(_not_negative)]
"""Seconds or bytes of a row in memory, where they may be NaN."""
Point = Annotated[list[float | None], Field(min_length=3, max_length=3)]
"""Seconds since the start, objective, bound."""


class RecipeDocument(Document):
    """How an instance is drawn."""

    family: Name
    parameters: dict[str, int]
    seed: Count


class InstanceDocument(Document):
    """An instance of the library, with its file or its recipe."""

    name: Name
    set: InstanceSet
    kind: Kind
    source: Note
    published: bool
    objectives: Annotated[list[Name], Field(min_length=1)]
    size: dict[str, Count]
    digest: Name
    file: Name | None = None
    recipe: RecipeDocument | None = None

    @model_validator(mode="after")
    def _has_numbers(self) -> InstanceDocument:
        if (self.file is None) == (self.recipe is None):
            raise InputError("needs either 'file' or 'recipe'")
        return self


class LibraryDocument(Document):
    """``metadata.json`` of the instances of one problem."""

    format: Literal["splitopt-benchmark-library"]
    version: Literal[1]
    problem: Name
    note: Note | None = None
    instances: list[InstanceDocument]


class ClaimDocument(Record):
    """What is read of a submitted result, and held against its decision."""

    objective_name: Name
    outcome: Name
    stop_reason: Name
    objective: float | None
    bound: float | None
    decision: dict[str, Any] | None = None


class _Row(Document):
    """What rows in memory may have besides: numbers that are not finite count as no numbers."""

    model_config = ConfigDict(allow_inf_nan=True)


@cache
def row_document() -> type[Document]:
    """Return the schema of a row: the fields of `Row`, each of its type."""
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
    fields: dict[str, Any] = {
        name: (narrower.get(name, kind), ...) for name, kind in get_type_hints(Row).items()
    }
    return create_model("RowDocument", __base__=_Row, **fields)
