"""What a plan of `CutUnderUncertainty` promises: the cut, and how its rounds vary."""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.planning import cluster_and_spectrum
from splitopt.problems.cut_under_uncertainty import (
    CutUnderUncertainty,
    CutUnderUncertaintyDecision,
)
from splitopt.problems.cut_under_uncertainty.risk import cvar
from splitopt.problems.limits import unchecked
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario


def predict(
    problem: CutUnderUncertainty,
    decision: CutUnderUncertaintyDecision,
    scenario: Scenario,
    profile: ModelProfile,  # noqa: ARG001 - every explainer takes it
) -> dict[str, Any]:
    """Say what the decision leads to, as plain data in s.

    ``round_s`` is the mean over the samples, ``rounds`` how they spread, ``training_s`` the
    expected time of all rounds.
    """
    latencies = problem.latencies(decision)
    mean = float(latencies.mean())
    return {
        "objective_unit": "s",
        "cut": problem.cuts[decision.cut],
        "samples": problem.samples,
        "round_s": mean,
        "rounds": {
            "least_s": float(latencies.min()),
            "median_s": float(np.median(latencies)),
            "p95_s": float(np.quantile(latencies, 0.95)),
            "most_s": float(latencies.max()),
            "cvar_s": float(cvar(latencies, problem.cvar_level)),
            "cvar_level": problem.cvar_level,
        },
        "training_s": mean * scenario.training.rounds,
    }


def explain_infeasible(
    problem: CutUnderUncertainty,  # noqa: ARG001 - every explainer takes it
    scenario: Scenario,  # noqa: ARG001
    profile: ModelProfile,  # noqa: ARG001
) -> str | None:
    """Leave it to the problem's own words."""
    return None


def notes(scenario: Scenario, profile: ModelProfile) -> list[str]:
    """Say what a reader of the plan should know about its inputs."""
    return unchecked(scenario, profile)


def used(scenario: Scenario, profile: ModelProfile, objective: str, solver: str) -> set[str]:
    """Name the fields that the plan follows from: those of a round, and what varies."""
    return {*cluster_and_spectrum.used(scenario, profile, objective, solver), "distributions"}
