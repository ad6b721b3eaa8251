"""The decision of `GeneratorPairing`: whose generators each device receives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from splitopt.errors import InputError, shown
from splitopt.problems.arrays import index_array, indices
from splitopt.problems.base import IntArray, check_keys

_RULE = "senders are indices of devices"


@dataclass(frozen=True, eq=False)
class GeneratorPairingDecision:
    """Whose generators each device receives.

    Parameters
    ----------
    senders
        Per device the 0-based indices of the devices whose generators it receives, rising; none
        for a device that has samples of all classes.
    """

    senders: tuple[IntArray, ...]

    def __post_init__(self) -> None:
        given: Any = self.senders
        if not isinstance(given, Iterable) or isinstance(given, str | bytes):
            raise InputError.at(
                "senders", f"is {shown(given)}, it must be a list of lists of devices"
            )
        read = tuple(_rising(row, f"senders[{i}]") for i, row in enumerate(given))
        object.__setattr__(self, "senders", read)

    @cached_property
    def pairs(self) -> tuple[IntArray, IntArray]:
        """Shape (K,) each: receiver and sender of every transfer, by receiver."""
        sizes = [len(row) for row in self.senders]
        receivers = np.repeat(np.arange(len(self.senders), dtype=np.int64), sizes)
        joined = np.concatenate(self.senders) if sum(sizes) else np.empty(0, dtype=np.int64)
        return receivers, joined

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as JSON-ready data."""
        return {
            "problem": "generator_pairing",
            "senders": [row.tolist() for row in self.senders],
        }

    @classmethod
    def from_dict(
        cls, document: Mapping[str, Any], devices: int, source: str = "decision"
    ) -> GeneratorPairingDecision:
        """Read a decision for `devices` devices."""
        checked = check_keys(document, ("senders",), ("problem",), source)
        listed = checked["senders"]
        if not isinstance(listed, list | tuple) or len(listed) != devices:
            raise InputError.at(
                f"{source}.senders", f"must be a list of {devices} lists, one for each device"
            )
        rows = [
            indices(row, f"{source}.senders[{i}]", _RULE, 0, devices - 1, -1)
            for i, row in enumerate(listed)
        ]
        try:
            return cls(tuple(rows))
        except InputError as error:
            raise InputError(f"{source}.{error}") from None


def _rising(row: Any, place: str) -> IntArray:
    """Read the senders of a device: rising, read-only, each once."""
    found = np.sort(index_array(row, place))
    if (twice := np.flatnonzero(np.diff(found) == 0)).size:
        raise InputError.at(place, f"names device {found[twice[0]]} twice; name it once")
    found.setflags(write=False)
    return found
