"""The decision of `CutAndClusters`: who works together, on how many subcarriers, at which cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from splitopt.problems.arrays import index_array, indices
from splitopt.problems.base import IntArray, check_keys
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrumDecision


@dataclass(frozen=True, eq=False)
class CutAndClustersDecision:
    """Clusters in the order in which they work, their cuts, and everybody's subcarriers.

    Parameters
    ----------
    clusters
        Per cluster the 0-based indices of its devices.
    subcarriers
        Shape (N,): how many subcarriers each device has while its cluster works.
    cuts
        Shape (M,): per cluster a 0-based index into the problem's ``cuts``.
    """

    clusters: tuple[IntArray, ...]
    subcarriers: IntArray
    cuts: IntArray

    def __post_init__(self) -> None:
        shared = ClusterAndSpectrumDecision(self.clusters, self.subcarriers)
        object.__setattr__(self, "clusters", shared.clusters)
        object.__setattr__(self, "subcarriers", shared.subcarriers)
        cuts = index_array(self.cuts, "cuts").copy()
        cuts.setflags(write=False)
        object.__setattr__(self, "cuts", cuts)

    @cached_property
    def round(self) -> ClusterAndSpectrumDecision:
        """Clusters and subcarriers alone."""
        return ClusterAndSpectrumDecision(self.clusters, self.subcarriers)

    @property
    def members(self) -> IntArray:
        """Shape (N,): the devices, cluster after cluster."""
        return self.round.members

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as JSON-ready data."""
        return {
            "problem": "cut_and_clusters",
            "cuts": self.cuts.tolist(),
            "clusters": [cluster.tolist() for cluster in self.clusters],
            "subcarriers": self.subcarriers.tolist(),
        }

    @classmethod
    def from_dict(
        cls, document: Mapping[str, Any], cuts: int, devices: int, source: str = "decision"
    ) -> CutAndClustersDecision:
        """Read a decision for so many cuts and devices."""
        names = ("cuts", "clusters", "subcarriers")
        checked = check_keys(document, names, ("problem",), source)
        shared = {name: checked[name] for name in names[1:]}
        found = ClusterAndSpectrumDecision.from_dict(shared, devices, source)
        rule = "there is one for each cluster, an index of the problem's cuts"
        chosen = indices(checked["cuts"], f"{source}.cuts", rule, 0, cuts - 1, len(found.clusters))
        return cls(found.clusters, found.subcarriers, chosen)
