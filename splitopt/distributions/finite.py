"""Refusing distributions under which the mean latency is infinite.

Latency goes as 1/x in a speed or a power gain, so its mean is finite only where 1/x has one: a
normal speed without a truncation has values at and below 0, and its mean latency does not exist
(CPSL Eq. 30 with a Gaussian capability). A signal-to-noise ratio in dB is a logarithm: latency
grows as 10^(-x/10) at its lower end, whose mean is finite for every distribution shipped here.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from splitopt.distributions.base import Distribution
from splitopt.distributions.kinds import Lognormal, Normal, Uniform
from splitopt.errors import InputError

Nature = Literal["positive", "level"]
POSITIVE: Nature = "positive"
LEVEL: Nature = "level"


def require_finite_mean_latency(
    distribution: Distribution, nature: Nature, source: str, unit: str = ""
) -> None:
    """Raise `InputError` if the latency's mean is infinite, naming the truncation to set.

    Parameters
    ----------
    distribution
        Of one quantity.
    nature
        ``"positive"`` for a speed or a gain that latency is divided by, ``"level"`` for decibels.
    source
        The name of the field, for messages.
    unit
        Of the quantity, for messages.
    """
    if nature == LEVEL:
        if isinstance(distribution, Lognormal):
            raise InputError.at(
                source, "kind is 'lognormal' for a level in dB; a lognormal gain is 'normal' in dB"
            )
        return
    bad = np.atleast_1d(distribution.reaches_zero())
    if not bad.any():
        return
    first = int(np.flatnonzero(bad)[0])
    where = source if distribution.devices is None else f"{source}[{first}]"
    raise InputError.at(where, _mend(distribution, first, unit))


def _mend(distribution: Distribution, first: int, unit: str) -> str:
    shown = f" {unit}" if unit else ""
    if isinstance(distribution, Normal | Uniform):
        mean = np.atleast_1d(distribution.expectation())
        scale = float(mean[first if first < len(mean) else 0])
        example = f", such as {scale / 10:.3g}{shown}" if scale > 0 else ""
        return (
            f"a {distribution.kind} that reaches 0 has an infinite mean latency; "
            f"set its truncation 'low' to a value above 0{example}"
        )
    return f"a value of 0 or less has an infinite latency; every value must be above 0{shown}"
