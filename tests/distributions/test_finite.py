"""A distribution with an infinite mean latency is refused, and only such a one."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt.distributions import (
    LEVEL,
    POSITIVE,
    Constant,
    Empirical,
    Lognormal,
    Mixed,
    Normal,
    Uniform,
    require_finite_mean_latency,
)
from splitopt.errors import InputError


@pytest.mark.parametrize(
    ("distribution", "words"),
    [
        (
            Normal(5e8, 5e7),
            "compute: a normal that reaches 0 .* 'low' to a value above 0, such as 5e",
        ),
        (
            Normal(5e8, 5e7, 0.0),
            "set its truncation 'low' to a value above 0, such as 5e.07 FLOP/s",
        ),
        (Normal([1.0, 2.0], 0.1, [0.1, 0.0]), r"compute\[1\]: a normal that reaches 0"),
        (Normal(1.0, 0.1, 0.0, 9.0, "clip"), "a normal that reaches 0"),
        (Uniform(0.0, 2.0), "a uniform that reaches 0"),
        (Empirical([1.0, 0.0]), "every value must be above 0 FLOP/s"),
        (Constant(0.0), "every value must be above 0"),
        (Mixed([Constant(1.0), Normal(1.0, 0.1)]), r"compute\[1\]"),
    ],
)
def test_infinite_mean_latency_is_refused(distribution, words):
    """The message names the truncation to set."""
    with pytest.raises(InputError, match=words):
        require_finite_mean_latency(distribution, POSITIVE, "compute", "FLOP/s")


@pytest.mark.parametrize(
    "distribution",
    [
        Normal(5e8, 5e7, 1e6),
        Normal(1.0, 0.1, 0.5, 9.0, "clip"),
        Lognormal(1.0, 5.0),
        Uniform(0.1, 2.0),
        Empirical([1.0, 2.0]),
        Constant(1.0),
        Mixed([Constant(1.0), Normal(1.0, 0.1, 0.5)]),
    ],
)
def test_finite_mean_latency_is_taken(distribution):
    """Whatever stays away from 0, or has little probability near it, will do."""
    require_finite_mean_latency(distribution, POSITIVE, "compute")


def test_levels_in_decibels():
    """A normal level needs no truncation; a lognormal level is a mistake."""
    require_finite_mean_latency(Normal(17.0, 2.0), LEVEL, "snr")
    with pytest.raises(InputError, match="a lognormal gain is 'normal' in dB"):
        require_finite_mean_latency(Lognormal(17.0, 2.0), LEVEL, "snr")


def test_the_refusal_is_about_something_real():
    """Averages of 1/x settle with a truncation and keep growing without one."""

    def averages(distribution):
        grids = [(np.arange(10**k) + 0.5) / 10**k for k in (4, 5, 6)]
        return [float((1 / distribution.quantile(u)).mean()) for u in grids]

    kept, lost = averages(Normal(1.0, 0.5, 0.2)), averages(Normal(1.0, 0.5, 0.0))
    assert kept[2] == pytest.approx(kept[0], rel=1e-3)
    assert lost[2] > lost[1] + 0.1 > lost[0] + 0.2 > kept[0]


def test_one_mean_for_many_widths():
    """The mean is a number and the widths are many: the device is named, with an example."""
    distribution = Normal(5e8, np.array([1e6, 5e9, 1e6, 1e6]), 0.0)
    with pytest.raises(InputError, match=r"compute\[\d\]: a normal that reaches 0 .* such as"):
        require_finite_mean_latency(distribution, POSITIVE, "compute", "FLOP/s")
