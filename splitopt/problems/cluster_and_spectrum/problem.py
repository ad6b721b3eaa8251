"""`ClusterAndSpectrum`: clusters of devices and the subcarriers of each device (CPSL, P_S)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from splitopt.errors import InputError
from splitopt.problems.base import FloatArray
from splitopt.problems.cluster_and_spectrum.bounds import cheap_bound
from splitopt.problems.cluster_and_spectrum.data import TIMES, ClusterAndSpectrumData
from splitopt.problems.cluster_and_spectrum.decision import (
    ClusterAndSpectrumDecision,
)
from splitopt.problems.cluster_and_spectrum.formulation import read_round, round_program
from splitopt.problems.cluster_and_spectrum.subcarriers import allocate_cluster, complete_clusters
from splitopt.problems.inputs import as_profile, as_scenario
from splitopt.problems.linear_program import (
    GurobiProgram,
    LinearProgram,
    PyomoProgram,
    Values,
    to_gurobi,
    to_pyomo,
)

if TYPE_CHECKING:
    from splitopt.latency.clustered import DeviceSeconds
    from splitopt.problems.inputs import ProfileLike, ScenarioLike
    from splitopt.scenario import Scenario


@dataclass(frozen=True, eq=False, repr=False)
class ClusterAndSpectrum(ClusterAndSpectrumData):
    """Partition devices into clusters and share subcarriers, so that a round is short.

    The clusters work one after the other, the devices of a cluster side by side. With K devices
    in a cluster and x subcarriers for device k, the server computes for t = K
    ``server_s_per_device`` in a phase, and the cluster takes S + (L - 1) I + E::

        S = max_k(broadcast + forward            + upload_smashed / x)                       + t
        I = max_k(backward + forward + (download_gradient + upload_smashed + upload_tied) / x) + t
        E = max_k(backward           + (download_gradient + upload_model) / x)

    Parameters
    ----------
    broadcast_s
        Shape (N,): the device-side model on all subcarriers, in s.
    forward_s, backward_s
        Shape (N,): a mini-batch through the device-side model, in s.
    upload_smashed_s, download_gradient_s, upload_model_s
        Shape (N,): smashed data, its gradient and the device-side model at ONE subcarrier, in s.
    server_s_per_device
        The server's work for one device's mini-batch, in s.
    local_epochs
        L >= 1, how often a cluster trains before its models are aggregated.
    subcarriers
        C >= 1, how many there are; in a cluster everybody needs at least one.
    cluster_sizes
        M whole numbers >= 1 that add up to N.
    device_model_over_full_band
        The device-side model goes up over all subcarriers, not over the device's own: E has
        backward + upload_model / C + download_gradient / x instead.
    upload_tied_s
        Shape (N,): gradients of tied weights, of which both sides hold a copy, at ONE subcarrier;
        0 by default. Those that come down with the gradient of the smashed data are part of
        ``download_gradient_s``.

    Raises
    ------
    InputError
        A shape, sign, type or value that does not fit; the message names the entry.
    """

    @classmethod
    @np.errstate(over="ignore", invalid="ignore")  # what overflows is refused by its name
    def from_scenario(
        cls, scenario: ScenarioLike, profile: ProfileLike | None = None, objective: str = "round"
    ) -> ClusterAndSpectrum:
        """Build the problem of a scenario with ``spectrum`` and ``clusters``, at its cut.

        Raises
        ------
        InputError
            Something is missing, or the cut is left open.
        InfeasibleError
            A limit of leakage or memory does not allow the cut.
        """
        from splitopt.latency.cell import cell_of, cell_seconds, cut_index
        from splitopt.problems.cluster_limits import check_cluster_cut

        scenario = as_scenario(scenario)
        profile = as_profile(profile, scenario)
        _, clusters = cell_of(scenario)
        cut = cut_index(profile, clusters.cut)
        seconds = cell_seconds(scenario, profile, cut)
        check_cluster_cut(scenario, profile, cut, exchanging=True)
        return cls.from_seconds(seconds, scenario, objective)

    @classmethod
    def from_seconds(
        cls, seconds: DeviceSeconds, scenario: Scenario, objective: str = "round"
    ) -> ClusterAndSpectrum:
        """Build the problem from a scenario's seconds at any cut, speeds and signals.

        `seconds` is what `splitopt.latency.cell.cell_seconds` gives, without leading axes.
        """
        from splitopt.latency.cell import cell_of

        spectrum, clusters = cell_of(scenario)
        devices = sum(device.count for device in scenario.devices)
        fields: dict[str, Any] = {
            "server_s_per_device": float(seconds.server),
            "local_epochs": scenario.training.epochs,
            "subcarriers": spectrum.subcarriers,
            "cluster_sizes": np.array(clusters.all_sizes(devices)),
            "device_model_over_full_band": spectrum.device_model_over_full_band,
        }
        for field, value in zip(TIMES, seconds, strict=False):  # the last one is the server's
            fields[field] = np.array(np.broadcast_to(value, devices), dtype=np.float64)
        beside = np.array(np.broadcast_to(seconds.upload_tied, devices), dtype=np.float64)
        return cls(**fields, objective=objective, upload_tied_s=beside)

    def device_phases(self, decision: ClusterAndSpectrumDecision) -> FloatArray:
        """Shape (N, 3): seconds of every device by `PHASES`, without the server's part.

        Raises
        ------
        InputError
            The decision is not one of this problem: its class, a device index outside 0..N-1, a
            cluster without a device, or not one number of subcarriers for each device.
        """
        decision = self.taken(decision)
        self._expect_sizes(decision)
        x = np.asarray(decision.subcarriers, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = self.terms[:, 0::2] + self.terms[:, 1::2] / x[:, None]
        return np.asarray(np.where(x[:, None] > 0, found, np.inf))

    def server_seconds(self, decision: ClusterAndSpectrumDecision) -> FloatArray:
        """Shape (M,): the server's work for one mini-batch of every device of each cluster."""
        return np.asarray(np.diff(decision.starts) * self.server_s_per_device)

    def cluster_phases(self, decision: ClusterAndSpectrumDecision) -> FloatArray:
        """Shape (M, 3): seconds of every cluster by `PHASES`, with the server's part."""
        decision = self.taken(decision)
        phases = self.device_phases(decision)[decision.members]
        found = np.maximum.reduceat(phases, decision.starts[:-1], axis=0)
        found[:, :2] += self.server_seconds(decision)[:, None]
        return found

    def cluster_seconds(self, decision: ClusterAndSpectrumDecision) -> FloatArray:
        """Shape (M,): seconds that every cluster takes (CPSL Eq. 25)."""
        phases = self.cluster_phases(decision)
        seconds = phases[:, 0]
        if self.inner_phases > 0:
            seconds = seconds + self.inner_phases * phases[:, 1]
        return np.asarray(seconds + phases[:, 2])

    def evaluate(self, decision: ClusterAndSpectrumDecision) -> float:
        """Seconds of a round, infinite where a device has no subcarrier.

        Errors are those of `device_phases`.
        """
        return float(self.cluster_seconds(decision).sum())

    def _expect_sizes(self, decision: ClusterAndSpectrumDecision) -> None:
        """Raise `InputError` where a decision does not speak of this problem's devices."""
        least, most = decision.span
        if least < 0 or most >= self.devices or most < least:
            odd = f"names device {least if least < 0 else most}" if least <= most else "are empty"
            raise InputError.at(
                "decision.clusters", f"{odd}; devices have the indices 0 to {self.devices - 1}"
            )
        if not all(map(len, decision.clusters)):
            raise InputError.at("decision.clusters", "hold a cluster without a device; drop it")
        if len(decision.subcarriers) != self.devices:
            raise InputError.at(
                "decision.subcarriers",
                f"has {len(decision.subcarriers)} entries for {self.devices} devices; give one for "
                "each",
            )

    def violations(self, decision: ClusterAndSpectrumDecision) -> dict[str, float]:
        """Devices and clusters that break a rule (counts), and subcarriers over the limit."""
        decision = self.taken(decision)
        found: dict[str, float] = {}
        members = decision.members
        if members.size == 0 or members.min() < 0 or members.max() >= self.devices:
            return {"device_index_outside": float("inf")}
        count = np.bincount(members, minlength=self.devices)
        if missing := int((count == 0).sum()):
            found["device_in_no_cluster"] = float(missing)
        if repeated := int((count > 1).sum()):
            found["device_in_several_clusters"] = float(repeated)
        sizes = np.diff(decision.starts)
        longest = int(max(sizes.max(), self.cluster_sizes.max())) + 1
        surplus = np.bincount(sizes, minlength=longest) - np.bincount(
            self.cluster_sizes, minlength=longest
        )
        if wrong := int(np.maximum(surplus, 0).sum() + np.maximum(-surplus, 0).sum()):
            found["cluster_sizes"] = float(wrong)
        if len(decision.subcarriers) != self.devices:
            found["subcarriers_of_devices"] = float(abs(len(decision.subcarriers) - self.devices))
            return found
        if starved := int((decision.subcarriers < 1).sum()):
            found["device_without_a_subcarrier"] = float(starved)
        if (sizes > 0).all():
            used = np.add.reduceat(decision.subcarriers[members], decision.starts[:-1])
            if (excess := int(used.max()) - self.subcarriers) > 0:
                found["subcarriers"] = float(excess)
        return found

    def load_loops(self) -> None:
        """Compile the sharing of subcarriers, or load what an earlier process compiled."""
        if self.devices and self.subcarriers and not self.is_small:
            allocate_cluster(self, [0])

    def infeasibility(self) -> str | None:
        """Report where a cluster has more devices than there are subcarriers."""
        largest = int(self.cluster_sizes.max())
        if largest <= self.subcarriers:
            return None
        return (
            f"a cluster of {largest} devices needs at least {largest} subcarriers, one for each, "
            f"and there are {self.subcarriers}: provide {largest} subcarriers, or make clusters of "
            f"at most {self.subcarriers} devices"
        )

    def bound(self) -> float:
        """Return the sum of what each phase costs at least, see `bounds.phase_bound`."""
        return cheap_bound(self)

    def complete(
        self, clusters: Iterable[npt.ArrayLike], rule: str = "exact"
    ) -> ClusterAndSpectrumDecision:
        """Return the decision with the best subcarriers for these clusters.

        Parameters
        ----------
        clusters
            Per cluster the 0-based indices of its devices; together they hold every device once.
        rule
            ``"exact"``, ``"greedy"`` or ``"tie_safe"``, see `subcarriers.RULES`.

        Raises
        ------
        InputError
            The clusters do not hold every device once.
        InfeasibleError
            A cluster has more devices than there are subcarriers.
        """
        return complete_clusters(self, clusters, rule)

    def revived(self, decision: ClusterAndSpectrumDecision) -> ClusterAndSpectrumDecision:
        """Return the same clusters with the best subcarriers for them, if these can be had."""
        return decision if self.violations(decision) else self.complete(decision.clusters)

    def to_pyomo(
        self,
        clusters: Iterable[npt.ArrayLike] | None = None,
        unit_s: float = 1.0,
        keep_subcarriers: bool = False,
    ) -> PyomoProgram[ClusterAndSpectrumDecision]:
        """Return the problem as a Pyomo model, see the module `formulation`.

        Parameters
        ----------
        clusters
            Fix these clusters, so that only subcarriers are chosen; None chooses both.
        unit_s
            Length in s of the model's unit of time; near a cluster's time is best for solvers.
        keep_subcarriers
            Let ``decision()`` keep the model's subcarriers, for own constraints on them; else it
            gives the best ones for the model's clusters.

        Raises
        ------
        InputError
            The clusters do not fit, or the unit is not above 0.
        InfeasibleError
            A cluster has more devices than there are subcarriers.
        """
        program, read = self._program(clusters, unit_s, keep_subcarriers)
        return to_pyomo(program, read)

    def to_gurobi(
        self,
        env: Any = None,
        clusters: Iterable[npt.ArrayLike] | None = None,
        unit_s: float = 1.0,
        keep_subcarriers: bool = False,
    ) -> GurobiProgram[ClusterAndSpectrumDecision]:
        """Return the problem as a gurobipy model, by default in an environment of its own."""
        program, read = self._program(clusters, unit_s, keep_subcarriers)
        return to_gurobi(program, read, env)

    def _program(
        self, clusters: Iterable[npt.ArrayLike] | None, unit_s: float, keep: bool
    ) -> tuple[LinearProgram, Callable[[Values], ClusterAndSpectrumDecision]]:
        program = round_program(self, clusters, unit_s)
        return program, lambda values: read_round(self, values, keep=keep)

    def decode(
        self, document: Mapping[str, Any], source: str = "decision"
    ) -> ClusterAndSpectrumDecision:
        """Read a decision from plain data."""
        return ClusterAndSpectrumDecision.from_dict(document, self.devices, source)
