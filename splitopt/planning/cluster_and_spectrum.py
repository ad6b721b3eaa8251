"""What a plan of `ClusterAndSpectrum` promises: seconds by cluster, phase and device."""

from __future__ import annotations

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
        names = [device.name for device in self.scenario.fleet()]
        own = problem.device_phases(decision)
        phases, seconds = problem.cluster_phases(decision), problem.cluster_seconds(decision)
        slowest, total = int(seconds.argmax()), float(seconds.sum())
        return ClusterAndSpectrumPrediction(
            objective_unit="s",
            clusters=[
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
            ],
            devices=[
                DeviceRound(
                    name=names[n],
                    cluster=m,
                    subcarriers=int(decision.subcarriers[n]),
                    starting_s=float(own[n, 0]),
                    inner_s=float(own[n, _INNER]) if problem.inner_phases else None,
                    ending_s=float(own[n, 2]),
                    waits_s=_waits(problem, phases[m], own[n], len(cluster)),
                )
                for m, cluster in enumerate(decision.clusters)
                for n in cluster
            ],
            round_s=total,
            training_s=total * self.scenario.training.rounds,
            bottleneck=SlowestCluster(
                cluster=slowest,
                seconds=float(seconds[slowest]),
                fraction_of_round=float(seconds[slowest] / total) if total > 0 else 0.0,
            ),
        )

    def notes(self) -> list[str]:
        """Return notes about filled counts, unequal mini-batches, and limits not checked."""
        scenario, profile = self.scenario, self.profile
        found = fill_notes(profile, (*scenario.devices, *scenario.servers))
        if len({device.batch_size for device in scenario.devices}) > 1:
            found.append(
                "mini-batches differ: the server's seconds are their mean for every device, which "
                "leaves the round exact and shifts seconds between clusters"
            )
        if scenario.clusters is not None and scenario.clusters.gradient_batch_factor == "literal":
            found.append("gradients have the size of one sample's, as CPSL prints Eq. 20")
        if scenario.spectrum is not None and scenario.spectrum.device_model_over_full_band:
            found.append("device-side models go up over all subcarriers")
        return found + unchecked(scenario, profile)

    def used(self) -> set[str]:
        """Name the fields that a plan follows from."""
        return round_fields(self.scenario, self.profile)


EXPLAINER = ClusterAndSpectrumExplainer


def _waits(problem: ClusterAndSpectrum, phases: FloatArray, own: FloatArray, size: int) -> float:
    """Seconds that a device waits for the others of its cluster, over all phases."""
    server = size * problem.server_s_per_device
    idle = np.maximum(0.0, phases - np.array([server, server, 0.0]) - own)  # but for rounding
    return float(idle @ np.array([1, problem.inner_phases, 1]))


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
