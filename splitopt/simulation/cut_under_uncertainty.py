"""Rounds of `CutUnderUncertainty` event by event: the sampled rounds, one after the other."""

from __future__ import annotations

import numpy as np

from splitopt.problems.cut_under_uncertainty import (
    CutUnderUncertainty,
    CutUnderUncertaintyDecision,
)
from splitopt.simulation import cluster_and_spectrum
from splitopt.simulation.replay import Forecast, Replay, Setting
from splitopt.simulation.tracks import one_after_the_other

MOST_ROUNDS = 50
"""How many of the samples are replayed."""


def replay(
    problem: CutUnderUncertainty, decision: CutUnderUncertaintyDecision, setting: Setting
) -> Replay:
    """Simulate the rounds of the first samples, each with its own clusters and subcarriers."""
    count = min(problem.samples, MOST_ROUNDS)
    rounds = [
        cluster_and_spectrum.replay(
            problem.block(sample, decision.cut),
            decision.recourse[sample],
            setting._replace(seed=setting.seed + sample),
        )
        for sample in range(count)
    ]
    lengths = np.array([item.simulated_s for item in rounds])
    expected = sum(item.forecasts[0].seconds for item in rounds)
    longest = int(lengths.argmax())
    return Replay(
        timeline=one_after_the_other(
            [item.timeline for item in rounds], setting.origin(problem.name)
        ),
        span=f"{count} sampled rounds, one after the other",
        forecasts=(Forecast("the plan's model (CPSL Eq. 25)", expected),),
        binding=f"round {longest} is the longest, {lengths[longest]:.4g} s",
        facts=(
            ("Cut", problem.cuts[decision.cut]),
            (
                "Rounds",
                f"mean {lengths.mean():.4g} s, {lengths.min():.4g} to {lengths.max():.4g} s",
            ),
            ("Samples", f"{count} of {problem.samples}"),
        ),
    )
