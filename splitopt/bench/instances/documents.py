"""Schemas of the metadata of the instance library.

Importing this module imports pydantic: do so in the functions that need it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from splitopt.bench.instances.benchmark import InstanceSet, Kind
from splitopt.documents.schemas import Count, Document, Name, Note
from splitopt.errors import InputError


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
