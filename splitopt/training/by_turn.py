"""What a test after a device's turn says: one row for each turn of a round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class TurnRow:
    """The test after one turn, in which one device, or a cluster of them, trained.

    Parameters
    ----------
    clients
        Names of the devices whose turn it was.
    test_loss, accuracy
        Of the model on all test data, accuracy from 0 to 1; None where the task has none.
    metrics
        All metrics of the task in the test, by name.
    by_class
        The recall of each class, which is the accuracy on the test samples of that class; None for
        a class without a test sample. Empty where the task has none.
    trained
        The classes of which these devices have training samples, in rising order. Empty where
        targets are no labels.
    """

    clients: tuple[str, ...]
    test_loss: float
    accuracy: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    by_class: tuple[float | None, ...] = ()
    trained: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON-ready data."""
        plain = {name: list(getattr(self, name)) for name in ("clients", "by_class", "trained")}
        return {**asdict(self), **plain}

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> TurnRow:
        """Read what `to_dict` wrote, and was checked."""
        read = {name: tuple(entry.get(name, ())) for name in ("clients", "by_class", "trained")}
        return cls(**{**entry, **read})
