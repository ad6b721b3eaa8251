"""Random service times: factors around one."""

from __future__ import annotations

import math

import numpy as np

from splitopt.documents.checks import is_number
from splitopt.errors import InputError
from splitopt.timeline import FloatArray


def check_noise(noise: float) -> float:
    """Reject a noise that is no coefficient of variation."""
    if not is_number(noise) or not 0 <= noise < math.inf:
        raise InputError.at("noise", f"is {noise!r}, it must be a number >= 0")
    return float(noise)


def noise_factors(shape: tuple[int, ...], noise: float, seed: int) -> FloatArray | None:
    """Draw lognormal factors of mean 1 and standard deviation `noise`; None without noise.

    The same seed and shape give the same factors, so that two plans for the same fleet can be
    compared under the same luck.
    """
    if noise == 0:
        return None
    variance = math.log1p(noise**2)
    drawn = np.random.default_rng(seed).normal(-variance / 2, math.sqrt(variance), shape)
    return np.exp(drawn)
