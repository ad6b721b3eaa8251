"""Epsilon against a published one, closed forms, opacus, and integrals done by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from splitopt.errors import InputError
from splitopt.generators import Account, GeneratorOptions, NetworkSpec, Sanitizing, account_of
from splitopt.generators.accounting import amplified_renyi, epsilon_of_steps

SPEC = NetworkSpec("small", (1, 8, 8), 10)
PAPER = NetworkSpec("iotsl", (1, 28, 28), 10)


def account(spec=SPEC, critics=1, steps=2000, **sanitize):
    return account_of(
        spec, GeneratorOptions(steps=steps, critics=critics, sanitize=Sanitizing(**sanitize))
    )


def test_published_epsilon_of_gs_wgan():
    """20,000 steps, batch 32, sigma 1.07, 1,000 critics, delta 1e-5: epsilon 10, says GS-WGAN.

    It counts each sample of a batch as a draw of its own and has the factor 2 of the sensitivity
    in its noise; and it turns divergences into epsilon by the older rule.
    """
    orders = range(2, 200)
    found = min(
        20_000 * 32 * amplified_renyi(order, 1 / 1.07, 1e-3) + math.log(1e5) / (order - 1)
        for order in orders
    )
    assert found == pytest.approx(10, abs=0.05)
    assert epsilon_of_steps(1 / 1.07, 1e-3, 640_000, 1e-5) < found


@pytest.mark.parametrize(("shift", "steps"), [(0.1, 100), (0.02, 400), (1.0, 50)])
def test_one_critic_is_one_gaussian_mechanism(shift, steps):
    """Delta of epsilon in closed form (Balle and Wang 2018), solved by another method."""
    m = shift * math.sqrt(steps)

    def delta(epsilon):
        below = math.exp(epsilon + norm.logcdf(-m / 2 - epsilon / m))
        return norm.cdf(m / 2 - epsilon / m) - below

    wanted = brentq(lambda epsilon: delta(epsilon) - 1e-5, 0, 500)
    assert epsilon_of_steps(shift, 1.0, steps, 1e-5) == pytest.approx(wanted, rel=1e-6)


def test_far_shifts_join_near_ones():
    """The bound that takes over is above, and by less than one percent."""
    near, far = (epsilon_of_steps(shift, 1.0, 1, 1e-5) for shift in (499.999, 500.001))
    assert near < far < 1.01 * near


def test_against_opacus():
    """Without amplification within its bound; with it above its bound for Poisson batches."""
    pytest.importorskip("opacus", reason="needs the extra 'privacy'")
    from splitopt.training.privacy.accounting import epsilon_of

    for sigma, steps in ((10, 100), (3, 20), (0.5, 2000)):
        bound = epsilon_of(sigma, 1.0, steps, 1e-5)
        assert 0.8 * bound < epsilon_of_steps(1 / sigma, 1.0, steps, 1e-5) <= bound
    for sigma, rate, steps in ((2.0, 0.01, 1000), (4.0, 0.1, 500)):
        poisson = epsilon_of(sigma, rate, steps, 1e-5)
        assert poisson < epsilon_of_steps(1 / sigma, rate, steps, 1e-5) < 3 * poisson


@pytest.mark.one_quick
@pytest.mark.parametrize("rate", [0.05, 0.25, 0.5])
@pytest.mark.parametrize("shift", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("order", [2, 3, 8])
def test_amplified_divergence_is_a_bound(rate, shift, order):
    """Of mixtures on a grid: the other critics point anywhere that is not further than shift."""
    x, y = np.meshgrid(np.linspace(-12, 14, 261), np.linspace(-12, 14, 261))
    cell = 0.1 * 0.1

    def at(*place):
        return norm.logpdf(x, place[0]) + norm.logpdf(y, place[1])

    corner = (shift / 2, math.sqrt(3) / 2 * shift)
    for elsewhere in ((0.0, 0.0), (shift / 2, 0.0), (shift, 0.0), corner):
        rest = math.log1p(-rate) + at(*elsewhere)
        one, other = (np.logaddexp(rest, math.log(rate) + at(end, 0.0)) for end in (0.0, shift))
        for p, q in ((one, other), (other, one)):
            with np.errstate(under="ignore"):
                whole = cell * np.exp(order * p + (1 - order) * q).sum()
            found = math.log(whole) / (order - 1)
            assert found <= amplified_renyi(order, shift, rate) + 1e-6


@pytest.mark.one_quick
@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("rate", [0.1, 0.3])
@pytest.mark.parametrize("delta", [0.03, 0.1])
def test_two_steps_are_within_epsilon_and_delta(shift, rate, delta):
    """The largest excess over e^epsilon of two steps with draws, summed on a grid, is below."""
    x, y = np.meshgrid(np.linspace(-8, 12, 401), np.linspace(-8, 12, 401))

    def steps(end):
        one, other = (
            (1 - rate) * norm.pdf(axis, shift / 2) + rate * norm.pdf(axis, end) for axis in (x, y)
        )
        return one * other

    epsilon = epsilon_of_steps(shift, rate, 2, delta)
    for p, q in ((steps(0.0), steps(shift)), (steps(shift), steps(0.0))):
        assert 0.05**2 * np.maximum(0, p - math.exp(epsilon) * q).sum() <= delta


def test_costly_steps_are_counted():
    """A critic of 1,000 is drawn 20 times in 20,000 steps, and 50 times hardly ever."""
    each = epsilon_of_steps(10.0, 1.0, 20, 1e-5)
    found = epsilon_of_steps(10.0, 1e-3, 20_000, 1e-5)
    assert each < found < 3 * each
    assert epsilon_of_steps(10.0, 1e-3, 20_000, 1e-5) < 0.01 * epsilon_of_steps(
        10.0, 1.0, 20_000, 1e-5
    )
    assert (
        epsilon_of_steps(10.0, 1e-9, 5, 1e-5) == 0
    )  # who is drawn so seldom risks less than delta


def test_amplification_needs_critics_that_are_no_further_apart():
    """A critic that points far away breaks the bound: the clip is what makes it hold."""
    x, rate, shift = np.linspace(-12, 24, 40_001), 0.25, 2.0
    p, q = (
        np.logaddexp(math.log1p(-rate) + norm.logpdf(x, 9.0), math.log(rate) + norm.logpdf(x, end))
        for end in (0.0, shift)
    )
    with np.errstate(under="ignore"):
        found = math.log(np.trapezoid(np.exp(2 * p - q), x))
    assert found > amplified_renyi(2, shift, rate)


def test_every_critic_drawn_is_no_amplification():
    """The bound never exceeds what there is without drawing."""
    for rate in (0.5, 0.9, 1.0):
        assert epsilon_of_steps(0.3, rate, 200, 1e-5) <= epsilon_of_steps(0.3, 1.0, 200, 1e-5)


def test_the_trap_is_not_printed():
    """Sigma 1.07 in 20,000 steps: 2.0 at q = 32/12,000; but the critic has seen everything."""
    for reading in ("batch", "sample", "value"):
        found = account(PAPER, steps=2000, reading=reading, noise_multiplier=1.07)
        assert found.rate == 1
        assert found.epsilon > 1000
        assert "nothing amplifies" in found.why


def test_readings_by_their_sensitivity():
    """Twice the bound on the norm, of all values that noise is added to in a step."""
    own = {"clip": 0.5, "noise_multiplier": 50.0}
    moved = {
        reading: account(reading=reading, **own).sensitivity
        for reading in ("batch", "sample", "value")
    }
    assert moved == pytest.approx(
        {"batch": 1.0, "sample": math.sqrt(32), "value": math.sqrt(11_153)}, rel=1e-12
    )
    found = [account(reading=name, **own).epsilon for name in moved]
    assert found == sorted(found)


def test_clip_does_not_matter_and_noise_does():
    """Noise grows with the clip; more noise or fewer steps cost less, more critics too."""
    base = account(reading="sample", noise_multiplier=100.0).epsilon
    assert account(reading="sample", noise_multiplier=100.0, clip=4.0).epsilon == base
    assert account(reading="sample", noise_multiplier=200.0).epsilon < base
    assert account(reading="sample", noise_multiplier=100.0, steps=1000).epsilon < base
    assert account(reading="sample", noise_multiplier=100.0, critics=50).epsilon < base


def test_no_epsilon_without_noise():
    """None, and the reason."""
    assert account(noise_multiplier=0.0).epsilon is None
    assert "no noise" in account(noise_multiplier=0.0).why
    found = account(noise_multiplier=50.0, insecure_test_seed=1)
    assert found.epsilon is None
    assert "seed for tests" in found.why
    found = account_of(SPEC, GeneratorOptions())
    assert (found.epsilon, found.delta) == (None, None)
    assert account_of(SPEC, GeneratorOptions(sanitize=Sanitizing()), steps=0).epsilon == 0


def test_documents_of_accounts():
    """There and back; what is none is refused."""
    found = account(noise_multiplier=3.0)
    assert Account.from_dict(found.to_dict()) == found
    for change in ({"epsilon": -1}, {"steps": None}, {"why": 3}, {"more": 1}, {"rate": "x"}):
        with pytest.raises(InputError, match=r"^account"):
            Account.from_dict({**found.to_dict(), **change})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reading", "all"), ("clip", 0), ("noise_multiplier", -1), ("delta", 1.0),
        ("delta", float("inf")), ("insecure_test_seed", -1),
    ],
)  # fmt: skip
def test_sanitizing_that_is_none(name, value):
    """One sentence that begins with the name."""
    with pytest.raises(InputError, match=f"^{name}: "):
        Sanitizing(**{name: value})
