"""What many latencies are worth together: their mean, or the mean of the worst of them (CVaR)."""

from __future__ import annotations

import math

import numpy as np

from splitopt.problems.base import FloatArray

EXPECTED, CVAR = "expected", "cvar"
OBJECTIVES = (EXPECTED, CVAR)


def cvar(values: FloatArray, level: float) -> FloatArray:
    """Conditional value at risk of samples along the last axis: the mean of the worst 1 - level.

    Of J samples the largest (1 - level) J count, the last of them in part: that is the minimum of
    t + mean(max(x - t, 0)) / (1 - level) over t (Rockafellar and Uryasev), to the last sample.
    """
    ordered = np.sort(values, axis=-1)[..., ::-1]
    return np.asarray((ordered * _tail_weights(ordered.shape[-1], level)).sum(axis=-1))


def value_at_risk(values: FloatArray, level: float) -> float:
    """Return a t that attains the minimum in `cvar`: the smallest of the worst samples."""
    ordered = np.sort(values)[::-1]
    return float(ordered[np.flatnonzero(_tail_weights(len(ordered), level))[-1]])


def shortfall(values: FloatArray, threshold: float, level: float) -> FloatArray:
    """Return t + max(x - t, 0) / (1 - level): for any t its mean is not below the CVaR."""
    return np.asarray(threshold + np.maximum(values - threshold, 0.0) / (1.0 - level))


def statistic(values: FloatArray, objective: str, level: float) -> FloatArray:
    """Return the objective's value of samples along the last axis."""
    if objective == CVAR:
        return cvar(values, level)
    return np.asarray(values.mean(axis=-1))


def _tail_weights(count: int, level: float) -> FloatArray:
    """Weights of the samples, worst first; they add up to 1."""
    tail = (1.0 - level) * count
    # (1 - 0.9) * 10 is a little below 1 in floating point: a sliver of a sample is none.
    whole = math.floor(tail + 1e-9)
    weights = np.zeros(count)
    weights[:whole] = 1.0
    if whole < count:
        weights[whole] = tail - whole if tail - whole > 1e-9 else 0.0
    return np.asarray(weights / weights.sum())
