"""The decision of `ClusterAndSpectrum`: who works together, and with how many subcarriers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from splitopt.errors import InputError, shown
from splitopt.problems.arrays import index_array, number_table
from splitopt.problems.base import IntArray, check_keys


@dataclass(frozen=True, eq=False)
class ClusterAndSpectrumDecision:
    """Clusters in the order in which they work, and everybody's subcarriers.

    Parameters
    ----------
    clusters
        Per cluster the 0-based indices of its devices.
    subcarriers
        Shape (N,): how many subcarriers each device has while its cluster works.
    """

    clusters: tuple[IntArray, ...]
    subcarriers: IntArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "clusters", read_clusters(self.clusters, "clusters"))
        object.__setattr__(self, "subcarriers", _frozen(self.subcarriers, "subcarriers"))

    @cached_property
    def members(self) -> IntArray:
        """Shape (N,): the devices, cluster after cluster."""
        if not self.clusters:
            return _frozen([], "members")
        return _frozen(np.concatenate(self.clusters), "members")

    @cached_property
    def span(self) -> tuple[int, int]:
        """The smallest and the largest of `members`; (0, -1) where there are none."""
        members = self.members
        return (int(members.min()), int(members.max())) if members.size else (0, -1)

    @cached_property
    def starts(self) -> IntArray:
        """Shape (M + 1,): where each cluster begins in `members`, and the end."""
        sizes = [len(cluster) for cluster in self.clusters]
        return _frozen(np.concatenate(([0], np.cumsum(sizes))).astype(np.int64), "starts")

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as JSON-ready data."""
        return {
            "problem": "cluster_and_spectrum",
            "clusters": [cluster.tolist() for cluster in self.clusters],
            "subcarriers": self.subcarriers.tolist(),
        }

    @classmethod
    def from_dict(
        cls, document: Mapping[str, Any], devices: int, source: str = "decision"
    ) -> ClusterAndSpectrumDecision:
        """Read a decision for `devices` devices."""
        checked = check_keys(document, ("clusters", "subcarriers"), ("problem",), source)
        listed = checked["clusters"]
        if not isinstance(listed, list | tuple) or not listed:
            raise InputError.at(f"{source}.clusters", "must be a list of lists of device indices")
        clusters = tuple(
            whole_numbers(cluster, f"{source}.clusters[{m}]", "device indices", -1, devices - 1)
            for m, cluster in enumerate(listed)
        )
        x = whole_numbers(checked["subcarriers"], f"{source}.subcarriers", "subcarriers", devices)
        return cls(clusters, x)


def whole_numbers(
    value: Any, source: str, unit: str, length: int = -1, most: int | None = None
) -> IntArray:
    """Read a list of whole numbers >= 0; `length` -1 takes any length from 1 on."""
    numbers = number_table(value, source, unit, (length,))
    bad = numbers != np.floor(numbers)
    if most is not None:
        bad |= numbers > most
    if bad.any():
        index = int(bad.argmax())
        limit = "a whole number" if most is None else f"a whole number from 0 to {most}"
        raise InputError.at(f"{source}[{index}]", f"is {numbers[index]:g}, it must be {limit}")
    return numbers.astype(np.int64)


def clusters_of(members: IntArray, starts: IntArray) -> Iterable[IntArray]:
    """Split devices that stand cluster after cluster into one array per cluster."""
    return np.split(members, starts[1:-1])


def read_clusters(value: Any, source: str) -> tuple[IntArray, ...]:
    """Read lists of device indices, one for each cluster."""
    try:
        listed = list(value)
    except TypeError:
        raise InputError.at(
            source, f"is {shown(value)}, it must be a list of lists of device indices"
        ) from None
    return tuple(_frozen(cluster, f"{source}[{m}]") for m, cluster in enumerate(listed))


def _frozen(value: Any, source: str) -> IntArray:
    array = np.array(index_array(value, source))
    array.setflags(write=False)
    return array
