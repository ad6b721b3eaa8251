"""Confidence intervals of means, and the Mak-Morton-Wood bound on the gap of a chosen cut."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from splitopt.problems.base import FloatArray


@dataclass(frozen=True)
class Interval:
    """A mean with its two-sided Student interval; one sample gives an infinite one."""

    mean: float
    low: float
    high: float
    samples: int

    def to_dict(self) -> dict[str, Any]:
        """Give the interval as plain data."""
        return asdict(self)


def mean_interval(values: FloatArray, level: float) -> Interval:
    """Give the interval of the mean that covers it with probability `level`.

    Of independent samples, shape (J,); exact for normal ones, asymptotically right for others. The
    interval of a difference is that of paired differences: give those.
    """
    mean, count = float(values.mean()), len(values)
    if count < 2:
        return Interval(mean, -math.inf, math.inf, count)
    half = _student(0.5 + level / 2, count - 1) * float(values.std(ddof=1)) / math.sqrt(count)
    return Interval(mean, mean - half, mean + half, count)


@dataclass(frozen=True)
class GapBound:
    """How far a chosen decision may be above the best: the estimate and its upper limit."""

    mean: float
    bound: float
    replications: int


def gap_bound(gaps: FloatArray, level: float) -> GapBound:
    """Give the one-sided bound of Mak, Morton and Wood (1999) from replications of a gap.

    In each of R independent replications of b samples, the gap is the chosen decision's value less
    the least value of any decision on the same samples. Its mean is not below the true gap,
    because the minimum is taken after the samples are seen; so mean + t s / sqrt(R) is above the
    true gap with probability `level` or more.

    Parameters
    ----------
    gaps
        Shape (R,), R >= 2.
    level
        Confidence, such as 0.95.
    """
    found = mean_interval(gaps, 0.0)
    spread = float(gaps.std(ddof=1)) / math.sqrt(len(gaps))
    bound = found.mean + _student(level, len(gaps) - 1) * spread
    return GapBound(found.mean, bound, len(gaps))


def _student(probability: float, freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))


def paired(first: FloatArray, second: FloatArray, level: float) -> Interval:
    """Give the interval of the mean of first - second on the same samples."""
    return mean_interval(np.asarray(first - second), level)
