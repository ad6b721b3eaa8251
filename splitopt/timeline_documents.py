"""Schema of a timeline file.

Importing this module imports pydantic: do so in the functions that need it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from splitopt.documents.schemas import Document, Name, Plain

Index = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class ResourceDocument(Document):
    """Something that tasks occupy."""

    name: Name
    kind: Name


class TasksDocument(Document):
    """The columns of the table of tasks."""

    resource: list[Index]
    phase: list[Index]
    owner: list[Index]
    batch: list[Index]
    start_s: list[float]
    end_s: list[float]
    share: list[float]


class TimelineDocument(Document):
    """A timeline; its origin is plain data of any form."""

    format: Literal["splitopt-timeline"]
    version: Literal[1]
    origin: Plain
    resources: list[ResourceDocument]
    phases: list[Name]
    owners: list[Name]
    tasks: TasksDocument
