"""The decision of `ReplicatedPipeline`: where stages end, and which devices each has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from splitopt.errors import InputError
from splitopt.problems.arrays import boolean_table, index_array, number_table
from splitopt.problems.base import BoolArray, IntArray, check_keys


@dataclass(frozen=True, eq=False)
class ReplicatedPipelineDecision:
    """A pipeline of M stages, from the first layer to the last.

    Parameters
    ----------
    ends
        Shape (M,), M >= 1, rising: stage m has the layers from ``ends[m - 1]`` (0 for the first
        stage) to ``ends[m] - 1``, and the last entry is the number of layers S.
    devices
        Shape (M, T): how many devices of each type the stage has.
    recompute
        Shape (M,): whether a stage keeps only its input and computes its activations again in the
        backward pass; false for all by default.

    Raises
    ------
    InputError
        A shape or value that does not fit; the message names the entry.
    """

    ends: IntArray
    devices: IntArray
    recompute: BoolArray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        ends = np.array(index_array(self.ends, "ends"))
        if len(ends) == 0 or ends[0] < 1 or (np.diff(ends) < 1).any():
            raise InputError.at("ends", "must rise from 1 at least, a stage has a layer or more")
        shape = (len(ends), -1)
        table = number_table(self.devices, "devices", "devices of each type in a stage", shape)
        if (table != np.floor(table)).any():
            raise InputError.at("devices", "must hold whole numbers: devices of each type")
        if (table > _MOST).any():
            raise InputError.at("devices", f"must be at most {_MOST:,} each")
        again = np.zeros(len(ends), dtype=np.bool_) if self.recompute is None else self.recompute
        object.__setattr__(self, "ends", ends)
        object.__setattr__(self, "devices", table.astype(np.int64))
        object.__setattr__(self, "recompute", boolean_table(again, "recompute", (len(ends),)))
        for array in (self.ends, self.devices):
            array.setflags(write=False)

    @property
    def starts(self) -> IntArray:
        """Shape (M,): the first layer of each stage, from 0."""
        return np.concatenate((np.zeros(1, dtype=np.int64), self.ends[:-1]))

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as JSON-ready data."""
        return {
            "problem": "replicated_pipeline",
            "ends": self.ends.tolist(),
            "devices": self.devices.tolist(),
            "recompute": self.recompute.tolist(),
        }

    @classmethod
    def from_dict(
        cls, document: Mapping[str, Any], source: str = "decision"
    ) -> ReplicatedPipelineDecision:
        """Read a decision from plain data."""
        keys = ("ends", "devices")
        checked = dict(check_keys(document, keys, ("recompute", "problem"), source))
        checked.pop("problem", None)
        try:
            return cls(**checked)
        except InputError as error:
            raise InputError(f"{source}.{error}") from None


_MOST = 10**6
"""Devices of a type in a stage at most."""
