"""The decision of `TimeToAccuracy`: cuts, batch sizes and the steps between two aggregations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from splitopt.documents.checks import as_whole
from splitopt.errors import InputError, shown
from splitopt.problems.arrays import index_array, indices, whole_number
from splitopt.problems.base import IntArray, check_keys

FIELDS = ("cut", "batch_size", "aggregation_interval")


@dataclass(frozen=True, eq=False)
class TimeToAccuracyDecision:
    """Where devices cut, with how many samples they step, and how often their parts are averaged.

    Parameters
    ----------
    cut
        Shape (N,), 1..L: layers on each device.
    batch_size
        Shape (N,): samples of a mini-batch of each device.
    aggregation_interval
        Steps from one average of the devices' parts to the next; the server's part is averaged in
        every step.
    """

    cut: IntArray
    batch_size: IntArray
    aggregation_interval: int

    def __post_init__(self) -> None:
        for name in ("cut", "batch_size"):
            array = np.array(index_array(getattr(self, name), name))
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        given: Any = self.aggregation_interval
        interval = as_whole(given.item() if hasattr(given, "item") else given)
        if interval is None:
            raise InputError.at(
                "aggregation_interval", f"is {shown(given)}, it must be a whole number"
            )
        object.__setattr__(self, "aggregation_interval", interval)

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as JSON-ready data."""
        return {
            "problem": "time_to_accuracy",
            "cut": self.cut.tolist(),
            "batch_size": self.batch_size.tolist(),
            "aggregation_interval": self.aggregation_interval,
        }

    @classmethod
    def from_dict(
        cls, document: Mapping[str, Any], devices: int, layers: int, source: str = "decision"
    ) -> TimeToAccuracyDecision:
        """Read a decision for `devices` devices and a model of `layers` layers."""
        checked = check_keys(document, FIELDS, ("problem",), source)
        rule = "a cut counts layers on the device"
        cuts = indices(checked["cut"], f"{source}.cut", rule, 1, layers, devices)
        rule = "batches have samples"
        sizes = indices(checked["batch_size"], f"{source}.batch_size", rule, 1, 2**53, devices)
        interval = whole_number(
            checked["aggregation_interval"], f"{source}.aggregation_interval", 1
        )
        return cls(cuts, sizes, interval)
