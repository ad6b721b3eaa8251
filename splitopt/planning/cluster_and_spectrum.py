"""What a plan of `ClusterAndSpectrum` promises: seconds by cluster, phase and device."""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.planning.fields import leakage_fields, model_fields, signal_fields
from splitopt.problems.cluster_and_spectrum import (
    PHASES,
    ClusterAndSpectrum,
    ClusterAndSpectrumDecision,
)
from splitopt.problems.limits import unchecked
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario


def predict(
    problem: ClusterAndSpectrum,
    decision: ClusterAndSpectrumDecision,
    scenario: Scenario,
    profile: ModelProfile,  # noqa: ARG001 - every explainer takes it
) -> dict[str, Any]:
    """Say what the decision leads to, as plain data in s.

    ``clusters`` has a row per cluster in their order of work: its devices, its subcarriers, its
    seconds by phase, and the device that holds up each phase; ``devices`` a row per device.
    ``round_s`` is the sum over clusters, ``training_s`` all rounds.
    """
    names = [device.name for device in scenario.fleet()]
    own = problem.device_phases(decision)
    phases, seconds = problem.cluster_phases(decision), problem.cluster_seconds(decision)
    asked = [phase for phase in range(3) if phase != 1 or problem.inner_phases]
    clusters, devices = [], []
    for m, cluster in enumerate(decision.clusters):
        clusters.append(
            {
                "devices": [names[n] for n in cluster],
                "subcarriers": int(decision.subcarriers[cluster].sum()),
                **{f"{PHASES[phase]}_s": float(phases[m, phase]) for phase in asked},
                "held_up_by": {
                    PHASES[phase]: names[cluster[int(own[cluster, phase].argmax())]]
                    for phase in asked
                },
                "seconds": float(seconds[m]),
            }
        )
        devices += [
            {
                "name": names[n],
                "cluster": m,
                "subcarriers": int(decision.subcarriers[n]),
                **{f"{PHASES[phase]}_s": float(own[n, phase]) for phase in asked},
                "waits_s": _waits(problem, phases[m], own[n], len(cluster)),
            }
            for n in cluster
        ]
    slowest = int(seconds.argmax())
    total = float(seconds.sum())
    return {
        "objective_unit": "s",
        "clusters": clusters,
        "devices": devices,
        "round_s": total,
        "training_s": total * scenario.training.rounds,
        "bottleneck": {
            "cluster": slowest,
            "seconds": float(seconds[slowest]),
            "fraction_of_round": float(seconds[slowest] / total) if total > 0 else 0.0,
        },
    }


def _waits(
    problem: ClusterAndSpectrum, phases: np.ndarray[Any, Any], own: np.ndarray[Any, Any], size: int
) -> float:
    """Seconds that a device waits for the others of its cluster, over all phases."""
    server = size * problem.server_s_per_device
    idle = np.maximum(0.0, phases - np.array([server, server, 0.0]) - own)  # but for rounding
    return float(idle @ np.array([1, problem.inner_phases, 1]))


def explain_infeasible(
    problem: ClusterAndSpectrum,  # noqa: ARG001 - every explainer takes it
    scenario: Scenario,  # noqa: ARG001
    profile: ModelProfile,  # noqa: ARG001
) -> str | None:
    """Leave it to the problem's own words."""
    return None


def notes(scenario: Scenario, profile: ModelProfile) -> list[str]:
    """Say what a reader of the plan should know about its inputs."""
    used = {machine.machine for machine in (*scenario.devices, *scenario.servers)}
    found = [fill for fill in profile.provenance.fills if fill.partition(":")[0] in used]
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


def used(scenario: Scenario, profile: ModelProfile, objective: str, solver: str) -> set[str]:  # noqa: ARG001
    """Name the fields of a scenario that the plan follows from."""
    devices = ("count", "batch_size", "compute", "machine", "machine_model", "memory")
    servers = ("compute", "machine", "machine_model", "memory")
    return {
        *model_fields(scenario, profile),
        "training",
        "spectrum",
        "clusters",
        *(f"devices[].{name}" for name in devices),
        *(f"servers[].{name}" for name in servers),
        *signal_fields(scenario),
        *leakage_fields(scenario),
    }
