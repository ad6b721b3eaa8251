"""Accountants against published figures, and against the closed form of the Gaussian mechanism."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("opacus", reason="needs the extra 'privacy'")
from scipy.optimize import brentq
from scipy.stats import norm

from splitopt.errors import InputError
from splitopt.training.privacy.accounting import epsilon_of, noise_for

pytestmark = pytest.mark.train


@pytest.mark.parametrize(("batch", "wanted"), [(1024, 27.7), (256, 11.4), (64, 5.0)])
def test_what_the_noise_of_splitfed_costs(batch, wanted):
    """SplitFed's Fig. 5 says 0.5 of this: 12,000 samples, 250 epochs, sigma 1.3."""
    steps = 250 * math.ceil(12_000 / batch)
    assert epsilon_of(1.3, batch / 12_000, steps, 1e-5) == pytest.approx(wanted, abs=0.06)


@pytest.mark.one_quick
@pytest.mark.parametrize(("epsilon", "wanted"), [(0.5, 38.8), (2.0, 10.8), (8.0, 3.3)])
def test_the_noise_of_an_epsilon(epsilon, wanted):
    """2,500 steps at q = 0.1, and what comes out is within that epsilon."""
    sigma = noise_for(epsilon, 0.1, 2500, 1e-5)
    assert sigma == pytest.approx(wanted, rel=0.01)
    assert 0.98 * epsilon <= epsilon_of(sigma, 0.1, 2500, 1e-5) <= epsilon


@pytest.mark.slow
def test_both_accountants():
    """Sigma = 1, q = 16/180, 360 steps; and sigma = 1.3 in 2,500 steps."""
    assert epsilon_of(1.0, 16 / 180, 360, 1e-5) == pytest.approx(13.2, abs=0.05)
    assert epsilon_of(1.0, 16 / 180, 360, 1e-5, "prv") == pytest.approx(12.0, abs=0.05)
    assert epsilon_of(1.3, 0.1, 2500, 1e-5) == pytest.approx(30.2, abs=0.05)


@pytest.mark.parametrize(("sigma", "walks"), [(1.0, 1), (5.0, 3), (4.0, 40)])
def test_without_amplification(sigma, walks):
    """Walks compose to one Gaussian mechanism, whose epsilon Balle and Wang (2018, Th. 8) have."""
    mu = math.sqrt(walks) / sigma

    def excess(epsilon):
        left = norm.cdf(mu / 2 - epsilon / mu)
        return left - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu) - 1e-5

    exact = brentq(excess, 0.0, 100.0)
    assert exact <= epsilon_of(sigma, 1.0, walks, 1e-5) <= 1.25 * exact
    assert exact <= epsilon_of(sigma, 1.0, walks, 1e-5, "prv") <= exact + 0.03


def test_the_ends():
    """Nothing drawn costs nothing, no noise has no bound, and no noise is enough for too little."""
    assert epsilon_of(1.0, 0.1, 0, 1e-5) == 0.0
    assert epsilon_of(0.0, 0.1, 1, 1e-5) == math.inf
    with pytest.raises(InputError, match="target_epsilon: is 1e-09, for which no noise is enough"):
        noise_for(1e-9, 1.0, 10, 1e-5)
