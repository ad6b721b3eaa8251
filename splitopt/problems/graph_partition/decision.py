"""The decision of `GraphPartition`: the device of every node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from splitopt.problems.arrays import index_array, indices
from splitopt.problems.base import IntArray, check_keys


@dataclass(frozen=True, eq=False)
class GraphPartitionDecision:
    """On which device every node runs.

    Parameters
    ----------
    device
        Shape (V,): 0 to k - 1 are the accelerators, k to k + l - 1 the CPUs.
    """

    device: IntArray

    def __post_init__(self) -> None:
        array = np.array(index_array(self.device, "device"))
        array.setflags(write=False)
        object.__setattr__(self, "device", array)

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as JSON-ready data."""
        return {"problem": "graph_partition", "device": self.device.tolist()}

    @classmethod
    def from_dict(
        cls, document: Mapping[str, Any], nodes: int, devices: int, source: str = "decision"
    ) -> GraphPartitionDecision:
        """Read a decision about `nodes` nodes and `devices` accelerators and CPUs."""
        checked = check_keys(document, ("device",), ("problem",), source)
        rule = "every node has the index of its device, accelerators first"
        place = f"{source}.device"
        return cls(indices(checked["device"], place, rule, 0, devices - 1, nodes))
