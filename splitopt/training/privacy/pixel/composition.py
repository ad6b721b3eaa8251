"""What several noisy passes of one input come to together. Free of PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from splitopt.documents.checks import check_whole
from splitopt.errors import InputError
from splitopt.training.pixel_dp_options import PixelDP
from splitopt.training.privacy.pixel.mechanisms import gaussian_delta, largest, noise_scale

MOST_PASSES = 10**6


def epsilon_of_passes(settings: PixelDP, passes: int, delta: float | None = None) -> float:
    """Return the epsilon of several passes of one input through a noise layer, of fresh noise each.

    Gaussian noise: T passes are one pass whose mean moves sqrt(T) times as far (Dong, Roth and Su
    2022, Corollary 3.3), with the exact delta of that (Balle and Wang 2018, Theorem 8). This holds
    too where what stands before the noise changes between passes, as in training.

    Laplace noise: the optimal composition of epsilon-private steps (Kairouz, Oh and Viswanath 2015,
    Theorem 3.3), which is T epsilon at delta 0.

    Parameters
    ----------
    settings
        The noise layer; epsilon is for changes of norm ``settings.radius``.
    passes
        T: how often somebody sees what comes out, 1 to 10^6.
    delta
        At which epsilon holds, 0 <= delta < 1; by default that of the settings.

    Returns
    -------
    float
        Infinite for Gaussian noise at delta 0.

    Raises
    ------
    InputError
        A number out of its range.
    """
    check_whole("passes", passes, 1, MOST_PASSES)
    wanted = settings.delta if delta is None else delta
    if not 0 <= wanted < 1:
        raise InputError.at("delta", f"is {wanted!r}, it must be >= 0 and below 1")
    if settings.mechanism == "gaussian":
        strength = math.sqrt(passes) * settings.radius / noise_scale(settings)
        if wanted == 0:
            return math.inf
        return _least(lambda own: float(gaussian_delta(own, strength)), wanted)
    if wanted == 0:
        return passes * settings.epsilon
    found = _least(lambda own: pure_delta(own, settings.epsilon, passes), wanted)
    return min(found, passes * settings.epsilon)


def pure_delta(epsilon: float, each: float, passes: int) -> float:
    """Compute the least delta at an epsilon of T steps that are `each`-private at delta 0.

    No such steps tell more than T answers that are true with probability e^each / (1 + e^each):
    sum over l of C(T, l) max(0, e^((T - l) each) - e^(epsilon + l each)) / (1 + e^each)^T
    (Kairouz, Oh and Viswanath 2015).
    """
    from scipy.special import gammaln

    wrong = np.arange(passes + 1)
    ways = gammaln(passes + 1) - gammaln(wrong + 1) - gammaln(passes - wrong + 1)
    ways -= passes * np.logaddexp(0.0, each)
    more = np.exp(ways + (passes - wrong) * each)
    gap = epsilon + (2 * wrong - passes) * each  # of the two exponents
    return float((more * -np.expm1(np.minimum(gap, 0.0))).sum())


def _least(delta_at: Callable[[float], float], delta: float) -> float:
    """Return the least epsilon >= 0 at which a falling delta is within a limit, from above."""
    if delta_at(0.0) <= delta:
        return 0.0
    below = largest(lambda own: delta_at(own) > delta)
    return math.nextafter(below, math.inf)
