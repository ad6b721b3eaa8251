"""Noise of both mechanisms against their definitions, written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from splitopt import InputError
from splitopt.training.pixel_dp_options import PixelDP
from splitopt.training.privacy.pixel.mechanisms import gaussian_delta, noise_scale, strength_for


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 1.0, 3.0])
@pytest.mark.parametrize("strength", [0.05, 0.5, 2.0])
def test_delta_is_the_integral_of_what_epsilon_leaves(epsilon, strength):
    """The hockey-stick divergence of N(m, 1) from N(0, 1), by numerical integration."""
    density = lambda x: math.exp(-x * x / 2) / math.sqrt(2 * math.pi)  # noqa: E731
    over = lambda x: max(0.0, density(x - strength) - math.exp(epsilon) * density(x))  # noqa: E731
    start = epsilon / strength + strength / 2  # where the densities' ratio is e^epsilon
    expected = integrate.quad(over, start, start + 12)[0]
    assert float(gaussian_delta(epsilon, strength)) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_no_change_needs_no_delta():
    assert float(gaussian_delta(0.5, 0.0)) == 0


def test_the_exact_calibration_is_tight_and_below_the_classic():
    """On the grid of epsilons for which the classic formula is proved."""
    for epsilon in (0.1, 0.5, 1.0):
        for delta in (1e-6, 0.05):
            m = strength_for(epsilon, delta)
            assert float(gaussian_delta(epsilon, m)) <= delta
            assert float(gaussian_delta(epsilon, 1.0001 * m)) > delta
            classic = noise_scale(PixelDP("a", epsilon, delta=delta))
            assert noise_scale(PixelDP("a", epsilon, delta=delta, calibration="exact")) < classic
            assert classic == pytest.approx(math.sqrt(2 * math.log(1.25 / delta)) * 0.1 / epsilon)


def test_laplace_noise_meets_epsilon_with_equality():
    """The log-ratio of the densities of two outputs that are Delta L apart is epsilon at most."""
    settings = PixelDP("a", 0.7, "laplace", radius=0.4)
    scale = noise_scale(settings)  # for a sensitivity of 1
    x = np.linspace(-5, 5, 1001)
    ratios = stats.laplace.logpdf(x, scale=scale) - stats.laplace.logpdf(x, 0.4, scale=scale)
    assert np.abs(ratios).max() == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"after": ""}, "after: is '', it must be the name of a layer"),
        ({"epsilon": 0.0}, "epsilon: is 0.0, it must be a number above 0"),
        ({"epsilon": -1.0}, "epsilon"),
        ({"epsilon": float("nan")}, "epsilon"),
        ({"epsilon": 2.0}, "epsilon: is 2, and the classic formula .* proved up to 1 only"),
        ({"radius": 0.0}, "radius"),
        ({"delta": 1.0}, "delta: is 1.0, it must be above 0 and below 1"),
        ({"mechanism": "uniform"}, "mechanism: is 'uniform', it must be one of gaussian, laplace"),
        ({"keep": "no"}, "keep"),
        ({"calibration": "no"}, "calibration"),
        ({"draws": -1}, "draws"),
        ({"insecure_test_seed": -1}, "insecure_test_seed"),
    ],
)
def test_numbers_and_names(given, words):
    with pytest.raises(InputError, match=words):
        PixelDP(**{"after": "conv1", "epsilon": 0.5, **given})


def test_an_epsilon_above_one_is_for_other_mechanisms():
    PixelDP("a", 3.0, "laplace")
    PixelDP("a", 3.0, calibration="exact")
