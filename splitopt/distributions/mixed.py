"""Devices whose quantity follows distributions of different kinds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from splitopt.distributions.base import BoolArray, Distribution, FloatArray
from splitopt.errors import InputError


@dataclass(frozen=True, eq=False)
class Mixed(Distribution):
    """One distribution per device; `parts` has N entries, each of a single device."""

    kind: ClassVar[str] = "mixed"

    parts: Sequence[Distribution]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        if not self.parts:
            raise InputError.at("parts", "is empty; it needs one distribution per device")
        for index, part in enumerate(self.parts):
            if part.devices is not None:
                raise InputError.at(f"parts[{index}]", "has parameters of several devices")

    @property
    def devices(self) -> int | None:
        """Number of parts."""
        return len(self.parts)

    def quantile(self, u: FloatArray) -> FloatArray:
        """Collect from every part its column."""
        columns = [part.quantile(u[..., n]) for n, part in enumerate(self.parts)]
        return np.stack(columns, axis=-1)

    def expectation(self) -> FloatArray:
        """Return the mean value of every part, shape (N,)."""
        return np.array([float(part.expectation()) for part in self.parts])

    def atoms(self, devices: int) -> list[FloatArray] | None:
        """Collect from every part its one device."""
        del devices
        found = [part.atoms(1) for part in self.parts]
        return None if None in found else [values[0] for values in found if values is not None]

    def reaches_zero(self) -> BoolArray:
        """Return whether each part reaches zero, shape (N,)."""
        return np.array([bool(part.reaches_zero()) for part in self.parts])

    def to_data(self) -> Any:
        """Return the list of the parts' data."""
        return [part.to_data() for part in self.parts]
