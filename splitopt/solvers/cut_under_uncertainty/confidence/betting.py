"""Tests by betting: confidence about a mean that holds however often one looks.

Somebody who doubts that the mean of Y is at most m bets a share of a wealth of 1 on every round:
K = prod (1 + s (Y - m)). While Y >= -b, the share s is below 1 / (b + m), and both are fixed before
the round is seen, K stays above 0 and does not grow on average unless the mean is above m. By
Ville's inequality it reaches 1 / delta at any time at all with probability delta at most
(Waudby-Smith and Ramdas 2023, "Estimating means of bounded random variables by betting").
"""

from __future__ import annotations

import math

import numpy as np

from splitopt.problems.base import FloatArray

SHARE = 0.75
"""The most that may be lost in one round, as a share of the wealth."""

PRODUCT = 16
"""Factors, of 1/4 and more each, that are multiplied before a logarithm is taken."""

_ROUNDING = 1e-9
_STEPS = 32


class Moments:
    """Number, mean and variance of what was seen before a bet; arrays are moments per entry."""

    def __init__(self) -> None:
        self.count = 0
        self._sum: FloatArray = np.zeros(())
        self._squares: FloatArray = np.zeros(())

    def add(self, values: FloatArray) -> None:
        """Add values, shape (..., n)."""
        self.count += values.shape[-1]
        self._sum = self._sum + values.sum(axis=-1)
        self._squares = self._squares + (values**2).sum(axis=-1)

    @property
    def mean(self) -> FloatArray:
        """Shape (...): the mean; there must be a value."""
        return np.asarray(self._sum / self.count)

    @property
    def variance(self) -> FloatArray:
        """Shape (...): the mean square deviation."""
        return np.asarray(np.maximum(self._squares / self.count - self.mean**2, 0.0))


def stake(seen: Moments, slack: float, lowest: FloatArray | float) -> FloatArray:
    """Compute the share to bet against "the mean is at most -slack", from earlier rounds only.

    Parameters
    ----------
    seen
        Of Y in earlier rounds.
    slack
        A lead that matters, in s.
    lowest
        b > 0: Y is never below -b.

    Returns
    -------
    FloatArray
        d / (variance + d^2) with d = mean + slack, near the share of fastest growth, and at most
        `SHARE` / b.
    """
    lead = np.maximum(seen.mean + slack, slack / 2)
    scale = seen.variance + lead**2
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = np.where(scale > 0, lead / scale, np.inf)
    return np.asarray(np.minimum(SHARE / np.asarray(lowest), wanted))


def check_lowest(values: FloatArray, lowest: FloatArray | float) -> None:
    """Raise RuntimeError where a value lies below -`lowest`: then no statement would hold."""
    limit = np.asarray(lowest)[..., None]
    reach = float(np.abs(limit).max(initial=0.0)) + float(np.abs(values).max(initial=0.0))
    if (values < -limit - _ROUNDING * reach).any():
        worst = float((values + limit).min())
        raise RuntimeError(f"a difference lies {-worst!r} s below the least that was assumed")


class Wealth:
    """The wealth of bets on one quantity, for every m at once."""

    def __init__(self) -> None:
        self._values: list[FloatArray] = []
        self._stakes: list[float] = []

    def add(self, values: FloatArray, share: float) -> None:
        """Bet a share on each value of a block, shape (n,)."""
        if share > 0:
            self._values.append(values)
            self._stakes.append(share)

    def log(self, mean: float) -> float:
        """Compute the logarithm of the wealth against "the mean is at most `mean`"."""
        found = 0.0
        for values, share in zip(self._values, self._stakes, strict=True):
            factors = 1.0 + share * (values - mean)
            starts = np.arange(0, len(factors), PRODUCT)
            found += float(np.log(np.multiply.reduceat(factors, starts)).sum())
        return found

    def reached(self, mean: float, goal: float) -> bool:
        """Whether "the mean is at most `mean`" is rejected: the logarithm is at least `goal`."""
        return self.log(mean) >= goal

    def lower_bound(self, goal: float, low: float, high: float) -> float:
        """Return the largest rejected mean between `low`, where it is known, and `high`."""
        if not self._values or not self.reached(low, goal):
            return low
        if self.reached(high, goal):
            return high
        for _ in range(_STEPS):
            middle = (low + high) / 2
            if self.reached(middle, goal):
                low = middle
            else:
                high = middle
        return low


def interval_stake(variance: float, lowest: float, goal: float, planned: float) -> float:
    """Compute the share that makes an interval narrow after `planned` rounds, see `stake`."""
    if lowest <= 0:
        return 0.0
    most = SHARE / lowest
    return min(most, math.sqrt(2 * goal / (variance * planned))) if variance > 0 else most


def mean_interval(
    values: FloatArray, level: float, centre: float, lowest: float, highest: float, variance: float
) -> tuple[float, float]:
    """Return an interval that covers the mean of the conditional means of bounded values.

    A value may depend on those before it, as a plan that goes on from the last one does. For
    z >= -1 and 0 <= s < 1, exp(s z - (-log(1 - s) - s) z^2) <= 1 + s z (Fan, Grama and Liu 2015),
    so that the product of what stands on the left is bounded by a wealth.

    Parameters
    ----------
    values
        Shape (n,), n >= 1.
    level
        Of the two-sided interval, such as 0.95.
    centre, variance
        Guesses from other data; they change the width alone.
    lowest, highest
        No value lies outside.
    """
    goal = math.log(2 / (1 - level))
    mean = float(values.mean())
    centre = min(max(centre, lowest), highest)
    check_lowest(values, -lowest)
    check_lowest(-values, highest)
    below = mean - _width(values - centre, centre - lowest, goal, variance)
    above = mean + _width(values - centre, highest - centre, goal, variance)
    return max(lowest, below), min(highest, above)


def _width(values: FloatArray, reach: float, goal: float, variance: float) -> float:
    if reach <= 0:
        return 0.0
    count, ratio = len(values), variance / reach**2
    share = min(SHARE, math.sqrt(2 * goal / (count * ratio))) if ratio > 0 else SHARE
    penalty = -math.log1p(-share) - share
    spread = float(((values / reach) ** 2).sum())
    return reach * (goal + penalty * spread) / (share * count)
