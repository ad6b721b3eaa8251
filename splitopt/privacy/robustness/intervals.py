"""One-sided confidence limits of expected scores, which lie in [0, 1]."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def clopper_pearson(counts: ArrayLike, draws: int, error: float) -> tuple[Array, Array]:
    """Compute limits of a probability from how often it came true (Clopper and Pearson 1934).

    Parameters
    ----------
    counts
        How often, 0 to `draws`.
    draws
        Of how many independent ones.
    error
        The probability with which the lower limit lies above the truth, and the same for the upper
        limit, at most.

    Returns
    -------
    Lower and upper limits in the shape of the counts.
    """
    from scipy.special import betaincinv

    k = np.asarray(counts, dtype=float)
    with np.errstate(invalid="ignore"):
        lower = np.where(k > 0, betaincinv(np.maximum(k, 1), draws - k + 1, error), 0.0)
        upper = np.where(k < draws, betaincinv(k + 1, np.maximum(draws - k, 1), 1 - error), 1.0)
    return lower, upper


def hoeffding(means: ArrayLike, draws: int, error: float) -> tuple[Array, Array]:
    """Compute limits of an expected value in [0, 1] from a mean (Hoeffding 1963, Theorem 1).

    Parameters and results are those of `clopper_pearson`, with means in place of counts.
    """
    own = np.asarray(means, dtype=float)
    width = math.sqrt(math.log(1 / error) / (2 * draws))
    return np.clip(own - width, 0.0, 1.0), np.clip(own + width, 0.0, 1.0)


def error_of_each(confidence: float, classes: int, inputs: int = 1) -> float:
    """Return the error of one limit so that all of them hold together (Bonferroni).

    There are two limits for every class, of all classes and not only of those that are compared,
    since which are compared is seen from the same draws.
    """
    return (1 - confidence) / (2 * classes * inputs)
