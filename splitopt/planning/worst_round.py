"""What a robust plan of `CutAndResources` promises at worst, and to whom."""

from __future__ import annotations

import numpy as np

from splitopt.planning.predictions.cut_and_resources import DeviceRound, WorstRound
from splitopt.problems.base import FloatArray
from splitopt.problems.cut_and_resources import CutAndResources, CutAndResourcesDecision
from splitopt.problems.cut_and_resources.problem import RobustCutAndResources
from splitopt.scenario import Scenario

_SAME = 1e-9
"""Relative difference up to which a device is in time."""


def decided_by(problem: CutAndResources, decision: CutAndResourcesDecision) -> CutAndResources:
    """Return the problem whose derivatives tell what more of a resource saves.

    Of a robust one it is that in which what decides the worst case is sure.
    """
    if not isinstance(problem, RobustCutAndResources):
        return problem
    return problem.without_doubt(decision)


def served(phases: FloatArray) -> FloatArray:
    """Return seconds by phase (N, 4) with 0 of devices that a quorum leaves out."""
    taken = np.asarray(np.isfinite(phases).all(axis=1))
    return np.where(taken[:, None], phases, 0.0)


def round_of(
    problem: CutAndResources, decision: CutAndResourcesDecision, phases: FloatArray
) -> float:
    """Return the seconds of a round in which nobody is slow: of the last one waited for."""
    latency = phases.sum(axis=1)
    if not isinstance(problem, RobustCutAndResources):
        return float(latency.max())
    if problem.objective == "sum":
        return float(latency[problem.worst_case(decision).counted].max())
    taken = np.isfinite(problem.latencies(decision))
    return float(np.sort(latency[taken])[problem.waited - 1])


def with_worst_rounds(
    rows: list[DeviceRound], problem: CutAndResources, decision: CutAndResourcesDecision
) -> list[DeviceRound]:
    """Return rows with what each device takes when it is slow, and whether it is left out."""
    if not isinstance(problem, RobustCutAndResources):
        return rows
    more, taken = problem.increments(decision), np.isfinite(problem.latencies(decision))
    slow = problem.slowness.devices > 0
    return [
        row.model_copy(
            update={
                "slow_round_s": row.round_s + float(more[n]) if slow else None,
                **({} if taken[n] else {"left_out": True, "energy_j": None}),
            }
        )
        for n, row in enumerate(rows)
    ]


def worst_round(
    problem: CutAndResources, decision: CutAndResourcesDecision, scenario: Scenario
) -> WorstRound | None:
    """Return the worst case of a decision in the words of its devices, None if it is not robust."""
    if not isinstance(problem, RobustCutAndResources):
        return None
    worst, latency = problem.worst_case(decision), problem.latencies(decision)
    more, taken = problem.increments(decision), np.isfinite(latency)
    names = [device.name for device in scenario.fleet()]
    if problem.objective == "sum":
        safe = taken & (more <= 0)
    else:
        factor = np.ones(problem.devices) if problem.priority is None else problem.priority
        safe = taken & (factor * (latency + more) <= worst.value * (1 + _SAME))
    return WorstRound(
        slow_devices=problem.slowness.devices,
        quorum=problem.waited,
        nominal_s=worst.nominal,
        worst_s=worst.value,
        slow=[names[n] for n in np.flatnonzero(worst.slowed > 0)],
        protected=[names[n] for n in np.flatnonzero(safe)],
        left_out=[names[n] for n in np.flatnonzero(~taken)],
    )
