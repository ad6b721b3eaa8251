"""How far a machine's real seconds may lie from the stated ones: an interval of their ratio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from splitopt.documents.fields import expect_keys, expect_number, expect_text
from splitopt.errors import InputError
from splitopt.profiles.table.arrays import Array

_KEYS = ("level", "low", "high", "method")


@dataclass(frozen=True)
class Interval:
    """Real seconds over stated seconds lie from `low` to `high` in a fraction `level` of cases.

    Parameters
    ----------
    level
        Between 0 and 1, both excluded.
    low, high
        Ratios above 0, ``low <= high``; 1 need not lie between them.
    method
        How the interval was found, in words.

    Raises
    ------
    InputError
        A number outside its range, or no method.
    """

    level: float
    low: float
    high: float
    method: str

    def __post_init__(self) -> None:
        for name in _KEYS[:3]:
            object.__setattr__(self, name, expect_number(getattr(self, name), name))
        if not 0 < self.level < 1:
            raise InputError.at("level", f"is {self.level}; give a fraction between 0 and 1")
        if not 0 < self.low <= self.high < np.inf:
            raise InputError.at(
                "low", f"and high are {self.low} and {self.high}; give 0 < low <= high"
            )
        expect_text(self.method, "method")

    @classmethod
    def of_ratios(cls, ratios: Sequence[Array], method: str, level: float = 0.9) -> Interval:
        """Compute quantiles of real over stated seconds, every group of ratios weighing the same.

        The quantiles are those of the weighted step distribution, without interpolation: the least
        ratio at which the weight reaches ``(1 - level) / 2``, and as much from above.
        """
        values = np.concatenate(ratios)
        weights = np.concatenate([np.full(len(group), 1 / len(group)) for group in ratios])
        order = np.argsort(values)
        reached = np.cumsum(weights[order]) / len(ratios)
        tail = (1 - level) / 2
        low = int(np.searchsorted(reached, tail - 1e-12))
        high = int(np.searchsorted(reached, 1 - tail - 1e-12))
        picked = values[order]
        return cls(level, float(picked[low]), float(picked[min(high, len(picked) - 1)]), method)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {name: getattr(self, name) for name in _KEYS}

    @classmethod
    def from_dict(cls, document: Any, field: str) -> Interval:
        """Read what `to_dict` wrote; raise `InputError` that starts with `field` otherwise."""
        found = expect_keys(document, field, _KEYS)
        try:
            return cls(**found)
        except InputError as error:
            raise InputError(f"{field}.{error}") from None
