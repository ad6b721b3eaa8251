"""Schemas of leakage tables and of cached results. Importing this module imports pydantic."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from splitopt.documents.schemas import Amount, Count, Document, Name, Note, Share

Attack = Literal[
    "gradient_matching",
    "feature_inversion",
    "distance_correlation",
    "label_inference",
    "membership_inference",
]
View = Literal["white", "black"]
Positive = Annotated[int, Field(ge=1)]


class SpreadDocument(Document):
    """See `splitopt.privacy.leakage.table.Spread`."""

    mean: float
    std: Amount
    low: float
    high: float
    count: Positive


class RowDocument(Document):
    """See `splitopt.privacy.leakage.table.LeakageRow`."""

    cut: Positive
    layer: Name
    attack: Attack
    view: Literal["white", "black", "any"]
    measure: Name
    value: SpreadDocument
    chance: float | None


class SettingsDocument(Document):
    """See `splitopt.privacy.leakage.settings.LeakageSettings`."""

    attacks: Annotated[list[Attack], Field(min_length=1)]
    views: Annotated[list[View], Field(min_length=1)]
    samples: Positive
    batch: Positive
    steps: Positive
    restarts: Positive
    inferences: Positive
    epochs: Count
    seed: int


class LeakageDocument(Document):
    """See `splitopt.privacy.leakage.table.LeakageTable`."""

    format: Literal["splitopt-leakage"]
    version: Literal[1]
    model: Name
    layers: Annotated[list[Name], Field(min_length=1)]
    model_bytes: list[Amount]
    data: Name
    data_digest: Name
    weights: Note
    accuracy: Share | None
    settings: SettingsDocument
    rows: list[RowDocument]
    baselines: dict[Name, dict[Name, SpreadDocument]]


class ResultDocument(Document):
    """What one attack on one group of samples gave, as a cache keeps it."""

    measures: dict[Name, list[float]]
    chance: dict[Name, float]
    found: list[list[float]] | None
