"""The schema of ``parts.json``, as far as it is read again.

Importing this module imports pydantic: do so in the functions that need it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from splitopt.documents.schemas import Count, Name, Record


class ModelRecord(Record):
    """The model: type and shape of its tensors, and what its state dict has beside and lacks."""

    profile: Name
    tensors: dict[Name, Annotated[list[str | int], Field(min_length=1)]]
    tied: dict[Name, Name] = Field(default_factory=dict)
    not_saved: list[Name] = Field(default_factory=list)
    not_finite: list[Name] = Field(default_factory=list)


class PartRecord(Record):
    """A part, and which submodules, parameters and buffers of the model it takes."""

    name: Name
    takes: list[Name]


class LinkRecord(Record):
    """A part in the chain of a client."""

    part: Name


class ClientRecord(Record):
    """A client, its chain of parts, and how many samples it has."""

    name: Name
    chain: list[LinkRecord]
    samples: Count


class PartsDocument(Record):
    """The manifest of an export."""

    format: Literal["splitopt-torch-parts", "splitopt-parts"]
    version: Literal[1]
    model: ModelRecord
    parts: list[PartRecord]
    clients: list[ClientRecord]
    weights: Name | None = None
