"""From epsilon to noise and back: the Laplace and the Gaussian mechanism. Free of PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from splitopt.training.pixel_dp_options import PixelDP

Array = NDArray[np.float64]
_HALVINGS = 200


def noise_scale(settings: PixelDP) -> float:
    """Return the scale of the noise over the sensitivity Delta.

    Returns
    -------
    float
        The standard deviation of the Gaussian mechanism, or the scale b of the Laplace mechanism,
        for changes of norm ``settings.radius``, where Delta is 1.
    """
    if settings.mechanism == "laplace":
        return settings.radius / settings.epsilon
    if settings.calibration == "classic":
        return classic_factor(settings.delta) * settings.radius / settings.epsilon
    return settings.radius / strength_for(settings.epsilon, settings.delta)


def classic_factor(delta: float) -> float:
    """Return sqrt(2 ln(1.25/delta)): epsilon times sigma over the sensitivity, for epsilon <= 1."""
    return math.sqrt(2 * math.log(1.25 / delta))


def gaussian_delta(epsilon: ArrayLike, strength: ArrayLike) -> Array:
    """Compute the least delta of the Gaussian mechanism at an epsilon >= 0.

    Balle and Wang (2018), Theorem 8: with m = Delta r / sigma, the shift of the mean in standard
    deviations, delta = Phi(m/2 - epsilon/m) - e^epsilon Phi(-m/2 - epsilon/m).

    Parameters
    ----------
    epsilon, strength
        Arrays that broadcast; the strength m is >= 0.
    """
    from scipy.special import log_ndtr

    own, m = np.broadcast_arrays(np.asarray(epsilon, float), np.asarray(strength, float))
    some = np.where(m > 0, m, 1.0)
    with np.errstate(under="ignore", over="ignore"):  # tiny strengths: both terms are 0
        first = np.exp(log_ndtr(some / 2 - own / some))
        second = np.exp(own + log_ndtr(-some / 2 - own / some))
    return np.asarray(np.where(m > 0, np.clip(first - second, 0.0, 1.0), 0.0))


def strength_for(epsilon: float, delta: float) -> float:
    """Return the largest m = Delta r / sigma that is (epsilon, delta)-private, from below."""
    return largest(lambda m: float(gaussian_delta(epsilon, m)) <= delta)


def largest(holds: Callable[[float], bool]) -> float:
    """Return the largest number > 0 for which something holds that holds for all smaller ones.

    The answer is one for which it does hold; 0 where it holds for none.
    """
    low, high = 0.0, 1.0
    while holds(high) and high < 1e12:
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
