"""How the leakage of a profile was measured, and how far it may be from what is stated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from splitopt.documents.fields import expect_keys, expect_text
from splitopt.errors import InputError
from splitopt.profiles.table.arrays import Array, frozen_array

_KEYS = ("method", "low", "high")


@dataclass(frozen=True, eq=False)
class LeakageRecord:
    """The method by which a leakage column was found, and the interval of each entry.

    Parameters
    ----------
    method
        Attacks, measure, data and samples in words.
    low, high
        Shape ``(L,)``, from 0 to 1: between them lies the mean in 95 % of repetitions.

    Raises
    ------
    InputError
        No method, or numbers that are no interval within 0 and 1.
    """

    method: str
    low: Array
    high: Array

    def __post_init__(self) -> None:
        expect_text(self.method, "leakage_record.method")
        for name in ("low", "high"):
            try:
                length = len(getattr(self, name))
            except TypeError:
                raise InputError.at(f"leakage_record.{name}", "must be a list of numbers") from None
            column = frozen_array(getattr(self, name), f"leakage_record.{name}", length)
            object.__setattr__(self, name, column)
        if len(self.low) != len(self.high) or np.any(self.low > self.high) or np.any(self.high > 1):
            raise InputError.at(
                "leakage_record", "is no list of intervals within 0 and 1, low <= high"
            )

    def check(self, leakage: Array | None, layers: int) -> None:
        """Raise `InputError` unless there is a leakage, with an interval for each of its layers."""
        if leakage is None or len(self) != layers:
            raise InputError.at(
                "leakage_record", f"must have {layers} intervals, of a leakage that is there"
            )

    def __len__(self) -> int:
        return len(self.low)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {"method": self.method, "low": self.low.tolist(), "high": self.high.tolist()}

    @classmethod
    def from_dict(cls, document: Any) -> LeakageRecord:
        """Read what `to_dict` wrote; raise `InputError` for anything else."""
        return cls(**expect_keys(document, "leakage_record", _KEYS))
