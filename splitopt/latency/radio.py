"""The rate of a radio channel, without and with Rayleigh fading.

Functions take an array namespace, `numpy` or `jax.numpy`, broadcast, and can be differentiated.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, Literal

import numpy as np

Fading = Literal["awgn", "rayleigh"]

_EULER_GAMMA = 0.5772156649015329
_SERIES, _FRACTION = 20, 90
"""Terms that reach float64 on either side of 1."""


def shannon_rate(bandwidth: Any, signal_to_noise: Any, xp: ModuleType = np) -> Any:
    """Rate in bit/s of a channel of some Hz: W log2(1 + P |h|^2 / (W N0)) (DP-MORA Eq. 1 and 4)."""
    return bandwidth * xp.log1p(signal_to_noise) / xp.log(2.0)


def subcarrier_rate(bandwidth: Any, snr: Any, fading: Fading = "awgn", xp: ModuleType = np) -> Any:
    """Mean rate in bit/s of one subcarrier (CPSL Eq. 14).

    Parameters
    ----------
    bandwidth
        W of the subcarrier, in Hz.
    snr
        Mean signal-to-noise ratio P |h|^2 / (N0 W), linear and above 0.
    fading
        ``"awgn"``: the ratio is what it is, W log2(1 + snr). ``"rayleigh"``: the power gain is
        exponentially distributed around its mean, and Eq. 14's expectation is
        W exp(1/snr) E1(1/snr) / ln 2.
    """
    if fading == "rayleigh":
        return bandwidth * scaled_exponential_integral(1.0 / snr, xp) / xp.log(2.0)
    return shannon_rate(bandwidth, snr, xp)


def scaled_exponential_integral(x: Any, xp: ModuleType = np) -> Any:
    """Return exp(x) E1(x) for x > 0 to about 1e-15 relative.

    A power series up to 1 and a continued fraction, evaluated from its end, beyond: both are plain
    arithmetic, so that every array namespace has the same numbers and derivatives.
    """
    x = xp.asarray(x)
    is_small = x <= 1.0
    small = xp.where(is_small, x, 1.0)  # a minimum would halve the derivative at 1
    term, total = -small, xp.zeros_like(small)
    for k in range(1, _SERIES + 1):
        total = total + term / k
        term = -term * small / (k + 1)
    series = xp.exp(small) * (-_EULER_GAMMA - xp.log(small) - total)
    large = xp.where(is_small, 1.0, x)
    tail = large + 2.0 * _FRACTION + 1.0
    for k in range(_FRACTION, 0, -1):
        tail = large + 2.0 * k - 1.0 - k * k / tail
    return xp.where(is_small, series, 1.0 / tail)
