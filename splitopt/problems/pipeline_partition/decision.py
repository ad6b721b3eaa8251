"""The decision of `PipelinePartition`: which node hosts each layer, and the chain that it makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from splitopt.errors import InputError
from splitopt.problems.arrays import index_array, indices
from splitopt.problems.base import IntArray, check_keys


@dataclass(frozen=True, eq=False)
class Chain:
    """The runs of equal entries of an assignment, from the first layer to the last.

    Parameters
    ----------
    nodes
        Shape (M,): the node of each run. A node stands here once if its layers are contiguous.
    boundaries
        Shape (M + 1,), from 0 to S, rising: run m holds the layers from ``boundaries[m]`` to
        ``boundaries[m + 1] - 1``.
    """

    nodes: IntArray
    boundaries: IntArray


@dataclass(frozen=True, eq=False)
class PipelinePartitionDecision:
    """Which node hosts each layer.

    Parameters
    ----------
    assignment
        Shape (S,): node indices from 0.
    """

    assignment: IntArray

    def __post_init__(self) -> None:
        array = np.array(index_array(self.assignment, "assignment"))
        array.setflags(write=False)
        object.__setattr__(self, "assignment", array)

    @classmethod
    def of_chain(
        cls, nodes: Sequence[int] | npt.ArrayLike, boundaries: Sequence[int] | npt.ArrayLike
    ) -> PipelinePartitionDecision:
        """Make the decision of a chain: nodes (M,) and boundaries (M + 1,) from 0 to S."""
        hosts, ends = index_array(nodes, "nodes"), index_array(boundaries, "boundaries")
        if len(ends) != len(hosts) + 1 or ends[0] != 0 or (np.diff(ends) < 0).any():
            raise InputError.at(
                "boundaries", f"must rise from 0 and have {len(hosts) + 1} entries for these nodes"
            )
        return cls(np.repeat(hosts, np.diff(ends)))

    @property
    def chain(self) -> Chain:
        """The runs of layers on the same node."""
        changes = np.flatnonzero(np.diff(self.assignment)) + 1
        starts = np.concatenate(([0], changes)).astype(np.int64)
        ends = np.append(starts, len(self.assignment)).astype(np.int64)
        return Chain(self.assignment[starts], ends)

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as JSON-ready data."""
        return {"problem": "pipeline_partition", "assignment": self.assignment.tolist()}

    @classmethod
    def from_dict(
        cls, document: Mapping[str, Any], layers: int, nodes: int, source: str = "decision"
    ) -> PipelinePartitionDecision:
        """Read a decision for `layers` layers and `nodes` nodes."""
        checked = check_keys(document, ("assignment",), ("problem",), source)
        place = f"{source}.assignment"
        rule = "every layer has the index of its node"
        return cls(indices(checked["assignment"], place, rule, 0, nodes - 1, layers))
