"""Schemas of what a training writes and reads again: its history and its checkpoint.

Importing this module imports pydantic: do so in the functions that need it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from splitopt.documents.schemas import Count, Document, Name, Plain

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

Factor = Annotated[float, Field(ge=1e-9, le=1e9)]


class ClientDocument(Document):
    """What a row says of a client, see `splitopt.training.by_client.ClientRow`."""

    loss: float | None = None
    samples: Count = 0
    test_loss: float | None = None
    test_samples: Count = 0
    metrics: dict[Name, float] = Field(default_factory=dict)


class TurnDocument(Document):
    """What a row says of a turn, see `splitopt.training.by_turn.TurnRow`."""

    clients: list[Name]
    test_loss: float
    accuracy: float | None = None
    metrics: dict[Name, float] = Field(default_factory=dict)
    by_class: list[float | None] = Field(default_factory=list)
    trained: list[Count] = Field(default_factory=list)


class RoundDocument(Document):
    """A row of a history, see `splitopt.training.history.RoundRow`."""

    round: Count
    loss: float
    samples: Count
    test_loss: float | None
    accuracy: float | None
    round_s: float | None
    clock_s: float | None
    phases_s: dict[Name, float]
    traffic_bytes: dict[Name, int | float]
    dropped: list[Name]
    metrics: dict[Name, float] = Field(default_factory=dict)
    epsilon: dict[Name, float | None] = Field(default_factory=dict)
    clients: dict[Name, ClientDocument] = Field(default_factory=dict)
    groups: list[list[Name]] = Field(default_factory=list)
    classes: dict[Name, list[float | None]] = Field(default_factory=dict)
    pixel_dp: dict[Name, float] = Field(default_factory=dict)
    distance_correlation: float | None = None
    received_bytes: dict[Name, dict[Name, int]] = Field(default_factory=dict)
    turns: list[TurnDocument] = Field(default_factory=list)
    replan: dict[Name, float] = Field(default_factory=dict)
    measured: dict[Name, dict[Name, Factor]] = Field(default_factory=dict)
    estimated: dict[Name, dict[Name, Factor]] = Field(default_factory=dict)


class HistoryDocument(Document):
    """A history; its origin is plain data of any form."""

    format: Literal["splitopt-history"]
    version: Literal[1]
    origin: Plain
    rounds: list[RoundDocument]


class TensorsDocument(Document):
    """The file beside a checkpoint that holds its tensors."""

    file: Name
    bytes: Count
    sha256: Digest


class CheckpointDocument(Document):
    """A checkpoint; its history is read as one."""

    format: Literal["splitopt-checkpoint"]
    version: Literal[1]
    identity: Plain
    history: dict[str, Any]
    tensors: TensorsDocument
    digest: Digest
