"""The solver `set_partition` of `CutAndClusters`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from splitopt.documents.checks import check_whole
from splitopt.problems.cut_and_clusters import CutAndClusters
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.cluster_and_spectrum import set_partition as one_cut
from splitopt.solvers.cluster_and_spectrum.set_partition.loading import load_loops
from splitopt.solvers.cut_and_clusters.set_partition.common import CommonCut
from splitopt.solvers.cut_and_clusters.set_partition.own_cuts import solve_own_cuts


@dataclass(frozen=True)
class SetPartition(Solver[CutAndClusters]):
    """Choose the cut together with the clusters and subcarriers, to a proof.

    With a common cut, bounds rule out most cuts, and the others are solved by the solver of the
    same name for `ClusterAndSpectrum`; with a cut for every cluster, a column of the set partition
    is a cluster at its best cut. ``details["prices"]`` holds the prices whose bound
    `certified_bound` proves again.

    Parameters
    ----------
    max_cells, max_listed
        As of the solver for `ClusterAndSpectrum`.
    most_devices
        Refuse a problem with more devices than this, unless they are nearly of few types and the
        cut is common.
    """

    name: ClassVar[str] = "set_partition"
    problem: ClassVar[str] = "cut_and_clusters"
    objectives: ClassVar[frozenset[str]] = frozenset(CutAndClusters.objectives)
    kind: ClassVar[Kind] = "exact"
    requires: ClassVar[tuple[str, ...]] = ("highspy",)

    max_cells: int = 2_000_000
    max_listed: int = 8_000_000
    most_devices: int = 1_000

    def __post_init__(self) -> None:
        for name in ("max_cells", "max_listed", "most_devices"):
            check_whole(name, getattr(self, name), 1)

    @property
    def _at_one_cut(self) -> one_cut.SetPartition:
        return one_cut.SetPartition(self.max_cells, self.max_listed, self.most_devices)

    def refusal(self, problem: CutAndClusters) -> str | None:
        """Reject what would take hours."""
        if not problem.cut_per_cluster:
            return self._at_one_cut.refusal(problem.at_cut(0))
        if problem.devices <= self.most_devices:
            return None
        return (
            f"would price clusters of {problem.devices:,} devices at {len(problem.cuts)} cuts, "
            f"more than its limit of most_devices = {self.most_devices:,}"
        )

    def load(self, problem: CutAndClusters) -> None:
        """Compile the loops, or load what an earlier process compiled."""
        if not problem.is_small:
            load_loops()

    def run(self, problem: CutAndClusters, search: Search) -> StopReason:
        """Find good partitions, rule out what bounds rule out, and prove the best.

        Raises
        ------
        InfeasibleError
            No partition leaves the devices of every cluster a common cut.
        """
        if problem.cut_per_cluster:
            return solve_own_cuts(problem, search, self.max_cells, self.max_listed)
        return CommonCut(problem, search, self._at_one_cut).run()
