"""Rates of a radio channel: by hand, against SciPy's integral, and under JAX."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import exp1

from splitopt.latency.precision import double_precision
from splitopt.latency.radio import scaled_exponential_integral, shannon_rate, subcarrier_rate


def test_without_fading_it_is_shannon():
    """A ratio of 3 carries 2 bit per s and Hz."""
    assert subcarrier_rate(1e6, 3.0) == pytest.approx(2e6)
    assert subcarrier_rate(1e6, 3.0) == shannon_rate(1e6, 3.0)


def test_the_integral_is_that_of_scipy():
    """exp(x) E1(x) over ten decades, both sides of 1, to rounding."""
    x = np.concatenate((np.logspace(-8, 2.5, 3001), [1.0, np.nextafter(1.0, 2.0)]))
    assert scaled_exponential_integral(x) == pytest.approx(np.exp(x) * exp1(x), rel=4e-15)


@pytest.mark.parametrize("decibels", [-10, 0, 5, 17, 30])
def test_rayleigh_is_the_mean_over_exponential_gains(decibels):
    """Against the expectation of Eq. 14, integrated numerically."""
    snr = 10 ** (decibels / 10)
    mean, _ = quad(lambda gain: np.exp(-gain) * np.log2(1 + snr * gain), 0, np.inf, epsabs=1e-12)
    assert subcarrier_rate(1.0, snr, "rayleigh") == pytest.approx(mean, rel=1e-9)
    assert subcarrier_rate(1.0, snr, "rayleigh") < subcarrier_rate(1.0, snr)


@pytest.mark.parametrize("fading", ["awgn", "rayleigh"])
@pytest.mark.slow
def test_jax_has_the_same_numbers_and_their_derivatives(fading):
    """The same formula on JAX arrays, differentiated, against central differences."""
    import jax
    import jax.numpy as jnp

    snr = np.array([0.3, 1.0, 3.0, 50.0, 1000.0])
    step = 1e-6 * snr
    upper, lower = (subcarrier_rate(1e6, snr + sign * step, fading) for sign in (1, -1))
    with double_precision():
        rates = subcarrier_rate(1e6, jnp.asarray(snr), fading, jnp)
        slope = jax.vmap(jax.grad(lambda s: subcarrier_rate(1e6, s, fading, jnp)))(snr)
    assert np.asarray(rates) == pytest.approx(subcarrier_rate(1e6, snr, fading), rel=1e-14)
    assert np.asarray(slope) == pytest.approx((upper - lower) / (2 * step), rel=1e-6)
