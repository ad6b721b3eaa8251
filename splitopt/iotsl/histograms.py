"""What a device tells of its labels: counts by class, with noise where they must not be told."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from splitopt.documents.checks import is_number
from splitopt.errors import InputError
from splitopt.iotsl.shares import Counts


def check_epsilon(epsilon: float | None) -> None:
    """Raise `InputError` for an epsilon of histograms that is none."""
    if epsilon is not None and not (is_number(epsilon) and 0 < epsilon < math.inf):
        raise InputError.at(
            "histogram_epsilon", f"is {epsilon!r}, it must be above 0; leave it out for no noise"
        )


def noised(counts: Counts, epsilon: float | None, seed: int) -> Counts:
    """Return counts with noise that makes them epsilon-differentially private, and none below 0.

    One sample more or less changes one count by one, so noise with ``P(k) ~ exp(-epsilon |k|)`` on
    each count is enough (the geometric mechanism, Ghosh, Roughgarden and Sundararajan 2009). Counts
    below 0 become 0 afterwards, which tells nothing more.

    Parameters
    ----------
    counts
        Shape (C,).
    epsilon
        Of adding or removing one sample; None for no noise.
    seed
        Of the device.

    Raises
    ------
    InputError
        The epsilon is not above 0.
    """
    check_epsilon(epsilon)
    if epsilon is None:
        return counts
    rng, stop = np.random.default_rng(seed), -math.expm1(-epsilon)
    # The difference of two geometric variables has this distribution.
    noise = rng.geometric(stop, len(counts)) - rng.geometric(stop, len(counts))
    found: Counts = np.maximum(counts + noise, 0)
    return found


def known(counts: Counts, labels: Sequence[int] | None, *, of_all: bool) -> Counts:
    """Return counts as whoever has the device's generator knows them.

    A generator makes samples of the classes that it was trained on, which noise on counts cannot
    hide from those who have it: none of these counts is 0.

    Parameters
    ----------
    counts
        Shape (C,): what the device tells.
    labels
        The classes that its generator was trained on; None for a device without one.
    of_all
        Whether generators are trained on all classes of their device, so that no other count is
        above 0.
    """
    if labels is None:
        return counts
    found = np.zeros_like(counts) if of_all else counts.copy()
    found[list(labels)] = np.maximum(counts[list(labels)], 1)
    return found


def imputed_amount(counts: Counts) -> int:
    """Return how many samples of each missing class a device is given: its mean per class.

    The mean is over the classes that it has (IoTSL section IV-C), at least one sample.
    """
    present = counts[counts > 0]
    return max(1, round(float(present.mean()))) if present.size else 0
