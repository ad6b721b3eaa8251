"""Lemma 1 of SplitFed (Lecuyer et al. 2019, Lemma 1 and Proposition 1): the radius that is safe.

If scores in [0, 1] are (epsilon, delta)-private with regard to changes of norm r, then a change
takes the expected score of a class k to no less than (E_k - delta) / e^epsilon, and that of another
class i to no more than e^epsilon E_i + delta. So k stays the class of the largest where

    E_k > e^(2 epsilon) max E_i + (1 + e^epsilon) delta,

E_k by its lower confidence limit, E_i by their upper ones.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from splitopt.privacy.robustness.settings import Accounting
from splitopt.training.pixel_dp_options import Mechanism
from splitopt.training.privacy.pixel.mechanisms import classic_factor, gaussian_delta

Array = NDArray[np.float64]
_HALVINGS = 40
_EPSILONS = np.concatenate([[0.0], np.geomspace(1e-3, 20.0, 200)])
"""At which the mechanism is looked at: each gives a valid certificate, the best is taken."""


def certified_strengths(
    lower: ArrayLike,
    upper: ArrayLike,
    mechanism: Mechanism,
    accounting: Accounting = "exact",
    delta: float = 1e-5,
) -> Array:
    """Compute the largest change that turns no prediction, over noise and sensitivity.

    Parameters
    ----------
    lower
        Of the expected score of the predicted class, shape (n,).
    upper
        Of the largest expected score of any other class, shape (n,).
    mechanism
        Of the noise.
    accounting, delta
        As for `splitopt.privacy.robustness.settings.RobustnessSettings`; delta is for
        ``"classic"``.

    Returns
    -------
    Array
        m >= 0: changes of norm m s / Delta and below are safe, s being the standard deviation
        (Gaussian) or the scale (Laplace) and Delta the sensitivity; 0 where nothing is certified.
    """
    low, high = np.asarray(lower, float), np.asarray(upper, float)
    if mechanism == "laplace":
        with np.errstate(divide="ignore"):
            found = 0.5 * np.log(np.maximum(low, 0.0) / high)
        return np.asarray(np.maximum(np.nan_to_num(found, nan=0.0), 0.0))
    if accounting == "classic":
        epsilons = _bisected(lambda e: _margin(low, high, e, np.full_like(e, delta)) > 0, low, 1.0)
        return epsilons / classic_factor(delta)
    return _bisected(lambda m: _best(low, high, m) > 0, low, 64.0)


def _best(lower: Array, upper: Array, strengths: Array) -> Array:
    """Return the margin of Lemma 1 at the best epsilon."""
    found = np.full(lower.shape, -np.inf)
    for epsilon in _EPSILONS:
        deltas = gaussian_delta(epsilon, strengths)
        found = np.maximum(found, _margin(lower, upper, np.full_like(found, epsilon), deltas))
    return found


def _margin(lower: Array, upper: Array, epsilons: Array, deltas: Array) -> Array:
    return np.asarray(
        lower - np.exp(2 * epsilons) * upper - (1 + np.exp(epsilons)) * deltas, dtype=float
    )


def _bisected(holds: Callable[[Array], NDArray[np.bool_]], like: Array, most: float) -> Array:
    """Return for each entry the largest number, up to `most`, for which something holds."""
    low, high = np.zeros(like.shape), np.full(like.shape, most)
    whole = holds(high)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        fine = holds(middle)
        low, high = np.where(fine, middle, low), np.where(fine, high, middle)
    return np.where(whole, most, low)
