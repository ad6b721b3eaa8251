"""Several passes of one input, against sums over all outcomes, integrals and accountants."""

from __future__ import annotations

import itertools
import math

import pytest
from scipy import integrate, stats

from splitopt import InputError
from splitopt.training.pixel_dp_options import PixelDP
from splitopt.training.privacy.pixel.composition import epsilon_of_passes, pure_delta
from splitopt.training.privacy.pixel.mechanisms import noise_scale

GAUSSIAN = PixelDP("conv1", 1.0, delta=0.05, radius=0.1)
LAPLACE = PixelDP("conv1", 0.3, "laplace", radius=0.1)


@pytest.mark.parametrize("passes", [1, 2, 5, 9])
@pytest.mark.parametrize("epsilon", [0.0, 0.2, 1.0, 1.7])
def test_pure_steps_are_answers_that_may_be_false(passes, epsilon):
    """Every outcome of T answers of which each is true with odds e^each, one by one."""
    each = 0.4
    true = math.exp(each) / (1 + math.exp(each))
    total = 0.0
    for outcome in itertools.product((True, False), repeat=passes):
        one = math.prod(true if yes else 1 - true for yes in outcome)
        other = math.prod(1 - true if yes else true for yes in outcome)
        total += max(0.0, one - math.exp(epsilon) * other)
    assert pure_delta(epsilon, each, passes) == pytest.approx(total, rel=1e-9, abs=1e-15)


def test_gaussian_passes_are_their_mean():
    """The mean of T draws tells all that T draws tell: its noise is sqrt(T) times smaller."""
    passes, delta = 7, 1e-3
    found = epsilon_of_passes(GAUSSIAN, passes, delta)
    scale = noise_scale(GAUSSIAN) / math.sqrt(passes)
    shift = GAUSSIAN.radius
    left = stats.norm(0, scale)
    right = stats.norm(shift, scale)
    start = scale**2 * found / shift + shift / 2
    over = integrate.quad(
        lambda x: right.pdf(x) - math.exp(found) * left.pdf(x), start, start + 12 * scale
    )[0]
    assert over == pytest.approx(delta, rel=1e-6)


@pytest.mark.parametrize("passes", [1, 10, 300])
def test_laplace_is_between_known_bounds(passes):
    """At most T epsilon, and the advanced composition of Dwork, Rothblum and Vadhan (2010)."""
    own, delta = LAPLACE.epsilon, 1e-5
    found = epsilon_of_passes(LAPLACE, passes, delta)
    advanced = math.sqrt(2 * passes * math.log(1 / delta)) * own + passes * own * math.expm1(own)
    assert found <= min(passes * own, advanced)
    assert pure_delta(found, own, passes) <= delta
    if found < passes * own:
        assert pure_delta(found * (1 - 1e-9), own, passes) > delta
    assert epsilon_of_passes(LAPLACE, passes, 0.0) == passes * own


def test_an_accountant_of_others_gives_no_less():
    """Renyi composition is an upper bound of the same steps, a few percent above."""
    pytest.importorskip("opacus", reason="needs the extra 'privacy'")
    from splitopt.training.privacy.accounting import epsilon_of

    sigma = noise_scale(GAUSSIAN) / GAUSSIAN.radius
    for passes in (5, 50):
        found = epsilon_of_passes(GAUSSIAN, passes, 1e-5)
        assert found < epsilon_of(sigma, 1.0, passes, 1e-5) < 1.25 * found


def test_one_pass_costs_no_more_than_was_asked():
    """Exactly that with the exact calibration, and less with the classic formula."""
    exact = PixelDP("conv1", 1.0, delta=0.05, calibration="exact")
    assert epsilon_of_passes(exact, 1) == pytest.approx(1.0, rel=1e-9)
    assert epsilon_of_passes(GAUSSIAN, 1) < 1.0
    assert epsilon_of_passes(LAPLACE, 1) <= LAPLACE.epsilon
    assert epsilon_of_passes(GAUSSIAN, 3, 0.0) == math.inf
    assert epsilon_of_passes(PixelDP("conv1", 1e-6, delta=0.05), 1) == 0.0


@pytest.mark.parametrize(
    ("passes", "delta", "words"),
    [
        (0, None, "passes: is 0"),
        (1.5, None, "passes: is 1.5"),
        (10**6 + 1, None, "passes: is 1000001"),
        (1, 1.0, "delta: is 1.0, it must be >= 0 and below 1"),
        (1, -0.1, "delta: is -0.1"),
    ],
)
def test_what_is_refused(passes, delta, words):
    with pytest.raises(InputError, match=words):
        epsilon_of_passes(GAUSSIAN, passes, delta)
