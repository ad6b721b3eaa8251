"""What a plan of `ClusterAndSpectrum` promises: seconds by cluster, phase and device."""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.planning.explaining import Explainer
from splitopt.planning.fields import leakage_fields, model_fields, signal_fields
from splitopt.planning.guesses import fill_notes
from splitopt.planning.predictions.cluster_and_spectrum import (
    ClusterAndSpectrumPrediction,
    ClusterRound,
    DeviceRound,
    SlowestCluster,
)
from splitopt.problems.base import FloatArray
from splitopt.problems.cluster_and_spectrum import (
    PHASES,
    ClusterAndSpectrum,
    ClusterAndSpectrumDecision,
)
from splitopt.problems.memory import unchecked
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario

_INNER = 1
_ROUNDING = 1e-12

Round = Any
"""A problem of a round in clusters: `ClusterAndSpectrum`, or `CutAndClusters`."""
Clusters = Any
"""A decision of such a problem."""


class ClusterAndSpectrumExplainer(
    Explainer[ClusterAndSpectrum, ClusterAndSpectrumDecision, ClusterAndSpectrumPrediction]
):
    """Explains plans of `ClusterAndSpectrum`."""

    problem = "cluster_and_spectrum"
    section = "clusters"

    def predict(
        self, problem: ClusterAndSpectrum, decision: ClusterAndSpectrumDecision
    ) -> ClusterAndSpectrumPrediction:
        """Compute the seconds by cluster in their order of work, and by device."""
        return ClusterAndSpectrumPrediction(**round_parts(self.scenario, problem, decision))

    def notes(self) -> list[str]:
        """Return notes about filled counts, unequal mini-batches, and limits not checked."""
        return round_notes(self.scenario, self.profile)

    def used(self) -> set[str]:
        """Name the fields that a plan follows from."""
        return round_fields(self.scenario, self.profile)


EXPLAINER = ClusterAndSpectrumExplainer


def round_parts(scenario: Scenario, problem: Round, decision: Clusters) -> dict[str, Any]:
    """Return what a round in clusters promises, by the fields of `ClusterAndSpectrumPrediction`."""
    names = [device.name for device in scenario.fleet()]
    own = problem.device_phases(decision)
    phases, seconds = problem.cluster_phases(decision), problem.cluster_seconds(decision)
    server = problem.server_seconds(decision)
    slowest, total = int(seconds.argmax()), float(seconds.sum())
    clusters = [
        ClusterRound(
            devices=[names[n] for n in cluster],
            subcarriers=int(decision.subcarriers[cluster].sum()),
            starting_s=float(phases[m, 0]),
            inner_s=float(phases[m, _INNER]) if problem.inner_phases else None,
            ending_s=float(phases[m, 2]),
            held_up_by={
                PHASES[phase]: names[cluster[int(own[cluster, phase].argmax())]]
                for phase in (0, _INNER, 2)
                if phase != _INNER or problem.inner_phases
            },
            seconds=float(seconds[m]),
        )
        for m, cluster in enumerate(decision.clusters)
    ]
    devices = [
        DeviceRound(
            name=names[n],
            cluster=m,
            subcarriers=int(decision.subcarriers[n]),
            starting_s=float(own[n, 0]),
            inner_s=float(own[n, _INNER]) if problem.inner_phases else None,
            ending_s=float(own[n, 2]),
            waits_s=_waits(problem.inner_phases, phases[m], own[n], float(server[m])),
        )
        for m, cluster in enumerate(decision.clusters)
        for n in cluster
    ]
    return {
        "objective_unit": "s",
        "clusters": clusters,
        "devices": devices,
        "round_s": total,
        "training_s": total * scenario.training.rounds,
        "bottleneck": SlowestCluster(
            cluster=slowest,
            seconds=float(seconds[slowest]),
            fraction_of_round=float(seconds[slowest] / total) if total > 0 else 0.0,
        ),
    }


def round_notes(scenario: Scenario, profile: ModelProfile, mean_server: bool = True) -> list[str]:
    """Return notes about filled counts, mini-batches, readings, and limits not checked.

    `mean_server`: whether the server's seconds are their mean where mini-batches differ.
    """
    found = fill_notes(profile, (*scenario.devices, *scenario.servers))
    if mean_server and len({device.batch_size for device in scenario.devices}) > 1:
        found.append(
            "mini-batches differ: the server's seconds are their mean for every device, which "
            "leaves the round exact and shifts seconds between clusters"
        )
    if scenario.clusters is not None and scenario.clusters.gradient_batch_factor == "literal":
        found.append("gradients have the size of one sample's, as CPSL prints Eq. 20")
    if scenario.spectrum is not None and scenario.spectrum.device_model_over_full_band:
        found.append("device-side models go up over all subcarriers")
    return found + unchecked(scenario, profile)


def _waits(inner_phases: int, phases: FloatArray, own: FloatArray, server: float) -> float:
    """Seconds that a device waits for the others of its cluster, over all phases."""
    idle = phases - np.array([server, server, 0.0]) - own
    idle[idle <= _ROUNDING * phases] = 0.0  # whom the others wait for
    return float(idle @ np.array([1, inner_phases, 1]))


def round_fields(scenario: Scenario, profile: ModelProfile) -> set[str]:
    """Name the fields of a scenario that a round in clusters follows from."""
    devices = ("count", "batch_size", "compute", "machine", "machine_model", "memory")
    servers = ("compute", "machine", "machine_model", "memory")
    return {
        *model_fields(scenario, profile),
        "training.epochs",
        "training.rounds",
        "spectrum",
        "clusters",
        *(f"devices[].{name}" for name in devices),
        *(f"servers[].{name}" for name in servers),
        *signal_fields(scenario),
        *leakage_fields(scenario),
    }
