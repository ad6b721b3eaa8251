"""`CutAndClusters`: the cut, the clusters and the subcarriers of a round in one program (CPSL)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt

from splitopt.errors import InfeasibleError, InputError
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum
from splitopt.problems.cluster_and_spectrum.data import TIED, TIMES
from splitopt.problems.cluster_and_spectrum.decision import read_clusters
from splitopt.problems.cluster_and_spectrum.subcarriers import allocate_clusters
from splitopt.problems.cut_and_clusters.data import CutAndClustersData
from splitopt.problems.cut_and_clusters.decision import CutAndClustersDecision
from splitopt.problems.cut_and_clusters.program import joint_program, read_joint
from splitopt.problems.cut_and_clusters.tables import fields_of_scenario
from splitopt.problems.linear_program import LinearProgram, StatedOnce, Values

if TYPE_CHECKING:
    from splitopt.problems.inputs import ProfileLike, ScenarioLike


@dataclass(frozen=True, eq=False, repr=False)
class CutAndClusters(CutAndClustersData, StatedOnce[CutAndClustersDecision]):
    """Choose the cut, partition devices into clusters and share subcarriers, for a short round.

    A round is that of `ClusterAndSpectrum`, at one cut that all clusters share, or with
    ``cut_per_cluster`` at a cut of each cluster's own. Every device of a cluster must be allowed
    the cluster's cut.

    Parameters
    ----------
    cuts
        V names.
    broadcast_s, forward_s, backward_s, upload_smashed_s, download_gradient_s, upload_model_s
        Shape (V, N): the fields of `ClusterAndSpectrum` at every cut, in s.
    server_s
        Shape (V, N): the server's work for a mini-batch of each device, in s.
    local_epochs, subcarriers, cluster_sizes, device_model_over_full_band
        As in `ClusterAndSpectrum`.
    allowed
        Shape (V, N), bool: which cuts the limits (leakage, memory) leave each device; None for all.
    cut_per_cluster
        Let every cluster have a cut of its own.
    upload_tied_s
        Shape (V, N): as in `ClusterAndSpectrum`, at every cut; 0 by default.

    Raises
    ------
    InputError
        A shape, sign, type or value that does not fit; the message names the entry.
    """

    @classmethod
    def from_scenario(
        cls, scenario: ScenarioLike, profile: ProfileLike | None = None, objective: str = "round"
    ) -> CutAndClusters:
        """Build the problem of a scenario with ``spectrum`` and ``clusters``.

        The cuts are those that the limits of leakage and memory leave, but for the last one of the
        model, behind which nothing is left for the server; or the one that ``clusters.cut`` names.

        Raises
        ------
        InputError
            Something is missing, or whether the server's memory allows a cut depends on who is in
            which cluster.
        InfeasibleError
            No cut meets the limits, or not the one that is named.
        """
        from splitopt.problems.inputs import as_profile, as_scenario

        scenario = as_scenario(scenario)
        profile = as_profile(profile, scenario)
        return cls(**fields_of_scenario(scenario, profile), objective=objective)

    def placed(self, decision: CutAndClustersDecision) -> ClusterAndSpectrum:
        """Return the round in which each device has its times at its cluster's cut.

        The server's seconds are left out, see `server_seconds`.

        Raises
        ------
        InputError
            The decision does not put every device of this problem into one cluster, or its cuts are
            not one for each cluster.
        """
        decision = self.taken(decision)
        members = decision.members
        if not np.array_equal(np.sort(members), np.arange(self.devices)):
            raise InputError.at(
                "decision.clusters", f"must hold each of 0..{self.devices - 1} once"
            )
        if len(decision.cuts) != len(decision.clusters) or not self._known(decision.cuts):
            raise InputError.at(
                "decision.cuts",
                f"must hold a whole number from 0 to {len(self.cuts) - 1} for each cluster",
            )
        cut = self._cut_of(decision)
        every = np.arange(self.devices)
        times = {field: getattr(self, field)[cut, every] for field in (*TIMES, TIED)}
        return self.of_times(times, 0.0)

    def _known(self, cuts: IntArray) -> bool:
        return not len(cuts) or bool(cuts.min() >= 0 and cuts.max() < len(self.cuts))

    def _cut_of(self, decision: CutAndClustersDecision) -> IntArray:
        """Shape (N,): the cut of every device."""
        found = np.empty(self.devices, dtype=np.int64)
        found[decision.members] = np.repeat(decision.cuts, np.diff(decision.round.starts))
        return found

    def device_phases(self, decision: CutAndClustersDecision) -> FloatArray:
        """Shape (N, 3): seconds of every device by phase, without the server's part."""
        return self.placed(decision).device_phases(decision.round)

    def server_seconds(self, decision: CutAndClustersDecision) -> FloatArray:
        """Shape (M,): the server's work for one mini-batch of every device of each cluster."""
        decision = self.taken(decision)
        own = self.server_s[self._cut_of(decision), np.arange(self.devices)]
        return np.add.reduceat(own[decision.members], decision.round.starts[:-1])

    def cluster_phases(self, decision: CutAndClustersDecision) -> FloatArray:
        """Shape (M, 3): seconds of every cluster by phase, with the server's part."""
        found = self.placed(decision).cluster_phases(decision.round)
        found[:, :2] += self.server_seconds(decision)[:, None]
        return found

    def cluster_seconds(self, decision: CutAndClustersDecision) -> FloatArray:
        """Shape (M,): seconds that every cluster takes (CPSL Eq. 25)."""
        own = self.placed(decision).cluster_seconds(decision.round)
        return np.asarray(own + self.local_epochs * self.server_seconds(decision))

    def evaluate(self, decision: CutAndClustersDecision) -> float:
        """Seconds of a round, infinite where a device has no subcarrier.

        Errors are those of `placed`.
        """
        return float(self.cluster_seconds(decision).sum())

    def violations(self, decision: CutAndClustersDecision) -> dict[str, float]:
        """Devices and clusters that break a rule (counts), and subcarriers over the limit."""
        decision = self.taken(decision)
        if found := self.at_cut(0).violations(decision.round):
            return found
        if len(decision.cuts) != len(decision.clusters):
            return {"cuts_of_clusters": float(abs(len(decision.cuts) - len(decision.clusters)))}
        if not self._known(decision.cuts):
            return {"cut_outside": float("inf")}
        refused = ~self.mask[self._cut_of(decision), np.arange(self.devices)]
        if refused.any():
            found["cut_not_allowed"] = float(refused.sum())
        different = len(np.unique(decision.cuts)) - 1
        if different and not self.cut_per_cluster:
            found["cuts_that_differ"] = float(different)
        return found

    def load_loops(self) -> None:
        """Compile the sharing of subcarriers, or load what an earlier process compiled."""
        if not self.is_small:
            self.at_cut(0).load_loops()

    def infeasibility(self) -> str | None:
        """Report where subcarriers are too few, or where no cut is allowed."""
        if (reason := self.at_cut(0).infeasibility()) is not None:
            return reason
        missing = ~self.mask.any(axis=0)
        if missing.any():
            return (
                f"device {int(missing.argmax())} may take none of the {len(self.cuts)} cuts: allow "
                "it one, by a higher leakage limit or more memory"
            )
        if not self.cut_per_cluster and not len(self.common):
            most = int(self.mask.sum(axis=1).argmax())
            other = int(np.flatnonzero(~self.mask[most])[0])
            return (
                f"no cut is one that all devices may take; {self.cuts[most]} is refused by the "
                f"fewest, first by device {other}: raise their limits, or let every cluster have "
                "its own cut (cut_per_cluster)"
            )
        return None

    def bound(self) -> float:
        """Return the least of the cheap bounds of the cuts, or that of the least of their times."""
        if self.infeasibility() is not None:
            return float("inf")
        if not self.cut_per_cluster:
            return min(self.at_cut(int(cut)).bound() for cut in self.common)
        least = {
            field: np.where(self.mask, getattr(self, field), np.inf).min(axis=0)
            for field in (*TIMES, TIED, "server_s")
        }
        server = self.local_epochs * float(least.pop("server_s").sum())
        return self.of_times(least, 0.0).bound() + server

    def costs(self, clusters: Iterable[npt.ArrayLike]) -> FloatArray:
        """Shape (V, M): seconds of clusters at every cut, infinite where a member refuses it."""
        taken = read_clusters(clusters, "clusters")
        found = np.full((len(self.cuts), len(taken)), np.inf)
        starts = np.cumsum([0, *map(len, taken)])[:-1]
        members = np.concatenate(taken) if taken else np.empty(0, dtype=np.int64)
        if not len(members):
            return found
        fine = np.logical_and.reduceat(self.mask[:, members], starts, axis=1)
        served = np.add.reduceat(self.server_s[:, members], starts, axis=1)
        for cut in range(len(self.cuts)):
            one = self.at_cut(cut)
            seconds = allocate_clusters(one, taken).seconds
            sizes = np.diff([*starts, len(members)])
            own = seconds - one.local_epochs * sizes * one.server_s_per_device
            found[cut] = own + self.local_epochs * served[cut]
        return np.where(fine, found, np.inf)

    def revived(self, decision: CutAndClustersDecision) -> CutAndClustersDecision:
        """Return the same clusters with the best cuts and subcarriers for them, if they fit."""
        return decision if self.violations(decision) else self.complete(decision.clusters)

    def complete(
        self, clusters: Iterable[npt.ArrayLike], cuts: npt.ArrayLike | None = None
    ) -> CutAndClustersDecision:
        """Return the decision with the best cuts and subcarriers for these clusters.

        Parameters
        ----------
        clusters
            Per cluster the 0-based indices of its devices; together they hold every device once.
        cuts
            Shape (M,): the cut of each cluster; None for the best.

        Raises
        ------
        InputError
            The clusters do not hold every device once, or the cuts do not fit.
        InfeasibleError
            A cluster has more devices than there are subcarriers, or its devices share no cut.
        """
        taken = read_clusters(clusters, "clusters")
        members = np.concatenate(taken) if taken else np.empty(0, dtype=np.int64)
        if not np.array_equal(np.sort(members), np.arange(self.devices)):
            raise InputError.at("clusters", f"must hold each of 0..{self.devices - 1} once")
        chosen = self._best_cuts(taken) if cuts is None else np.asarray(cuts, dtype=np.int64)
        draft = CutAndClustersDecision(taken, np.ones(self.devices, dtype=np.int64), chosen)
        found = self.placed(draft).complete(taken)
        return CutAndClustersDecision(taken, found.subcarriers, chosen)

    def _best_cuts(self, clusters: tuple[IntArray, ...]) -> IntArray:
        costs = self.costs(clusters)
        if self.cut_per_cluster:
            if np.isinf(least := costs.min(axis=0)).any():
                self._refuse(f"the devices of cluster {int(np.isinf(least).argmax())} share no cut")
            return np.asarray(costs.argmin(axis=0))
        total = costs.sum(axis=1)
        if np.isinf(total).all():
            self._refuse("no cut is one that all devices may take")
        return np.full(len(clusters), int(total.argmin()))

    @staticmethod
    def _refuse(why: str) -> NoReturn:
        raise InfeasibleError(f"{why}; raise a limit of leakage or memory")

    def integer_program(
        self, unit_s: float
    ) -> tuple[LinearProgram, Callable[[Values], CutAndClustersDecision]]:
        """Return the program, see the module `program`, and what reads a decision from values.

        A decision has the clusters and cuts of the values, and the best subcarriers for them.
        """
        program = joint_program(self, unit_s)
        return program, lambda values: self.complete(*read_joint(self, values))

    def decode(
        self, document: Mapping[str, Any], source: str = "decision"
    ) -> CutAndClustersDecision:
        """Read a decision from plain data."""
        return CutAndClustersDecision.from_dict(document, len(self.cuts), self.devices, source)
