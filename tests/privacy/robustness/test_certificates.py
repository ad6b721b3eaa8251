"""Intervals and Lemma 1 against scipy, closed forms and counted coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, stats

from splitopt import InputError
from splitopt.privacy.robustness.certificates import certified_strengths
from splitopt.privacy.robustness.intervals import clopper_pearson, error_of_each, hoeffding
from splitopt.privacy.robustness.settings import RobustnessSettings


def test_clopper_and_pearson_as_scipy_has_them():
    """A two-sided interval of 1 - 2 a has one-sided limits of error a."""
    counts = np.arange(0, 31)
    lower, upper = clopper_pearson(counts, 30, 0.01)
    for k in counts:
        own = stats.binomtest(int(k), 30).proportion_ci(0.98, method="exact")
        assert (lower[k], upper[k]) == pytest.approx((own.low, own.high), abs=1e-12)


@pytest.mark.parametrize("limits", ["clopper_pearson", "hoeffding"])
@pytest.mark.parametrize("p", [0.03, 0.5, 0.9])
def test_limits_hold_as_often_as_they_say(limits, p):
    """The exact chance, summed over all counts, that a limit is on the wrong side."""
    n, error = 40, 0.05
    counts = np.arange(n + 1)
    if limits == "clopper_pearson":
        lower, upper = clopper_pearson(counts, n, error)
    else:
        lower, upper = hoeffding(counts / n, n, error)
    with np.errstate(under="ignore"):
        chance = stats.binom.pmf(counts, n, p)
    assert chance[lower > p].sum() <= error
    assert chance[upper < p].sum() <= error


def test_all_limits_together():
    """Twenty limits of ten classes, of an input or of a hundred."""
    assert error_of_each(0.95, 10) == pytest.approx(0.05 / 20)
    assert error_of_each(0.95, 10, 100) == pytest.approx(0.05 / 2000)


def test_laplace_in_closed_form():
    """Delta is 0: r Delta / b = ln(E_k / E_i) / 2; nothing where E_k is below."""
    found = certified_strengths([0.9, 0.6, 0.4], [0.05, 0.6, 0.5], "laplace")
    assert found == pytest.approx([0.5 * math.log(18), 0, 0])


def test_gaussian_by_the_published_formula():
    """The largest epsilon up to 1 with E_k > e^2eps E_i + (1 + e^eps) delta, by root finding."""
    delta, low, high = 0.01, 0.85, 0.2
    gap = lambda e: low - math.exp(2 * e) * high - (1 + math.exp(e)) * delta  # noqa: E731
    epsilon = optimize.brentq(gap, 0, 1)
    found = certified_strengths([low, 0.99, 0.5], [high, 0.001, 0.49], "gaussian", "classic", delta)
    factor = math.sqrt(2 * math.log(1.25 / delta))
    assert found == pytest.approx([epsilon / factor, 1 / factor, 0], abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("low", "high"), [(0.9, 0.05), (0.7, 0.25), (0.999, 1e-3)])
def test_gaussian_exactly(low, high):
    """The largest m whose best margin over all epsilons is positive, by scipy's minimiser."""

    def margin(epsilon, m):
        phi = stats.norm.cdf
        delta = phi(m / 2 - epsilon / m) - math.exp(epsilon) * phi(-m / 2 - epsilon / m)
        return low - math.exp(2 * epsilon) * high - (1 + math.exp(epsilon)) * delta

    def best(m):
        with np.errstate(all="ignore"):
            grid = np.linspace(1e-6, 4, 400)
            start = grid[np.argmax([margin(e, m) for e in grid])]
            around = (max(1e-9, start - 0.02), start + 0.02)
            own = optimize.minimize_scalar(lambda e: -margin(e, m), around, bounds=around,
                                           method="bounded")  # fmt: skip
        return -own.fun

    expected = optimize.brentq(best, 1e-3, 8)
    (found,) = certified_strengths([low], [high], "gaussian")
    assert found <= expected + 1e-6
    assert found == pytest.approx(expected, rel=2e-3)
    (classic,) = certified_strengths([low], [high], "gaussian", "classic", 0.01)
    assert classic <= found


def test_a_certificate_is_never_further_than_the_truth():
    """Two classes, a linear score under Gaussian noise: the true radius is sigma Phi^-1(E_k)."""
    scores = np.linspace(0.501, 0.9999, 60)
    found = certified_strengths(scores, 1 - scores, "gaussian")
    truth = stats.norm.ppf(scores)
    assert (found < truth).all()
    assert (np.diff(found) >= 0).all()
    assert found[-1] > 0.25 * truth[-1]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"confidence": 1.0}, "confidence: is 1.0, it must be above 0 and below 1"),
        ({"draws": 0}, "draws"),
        ({"scores": "logits"}, "scores: is 'logits', it must be one of votes, probabilities"),
        ({"accounting": "rdp"}, "accounting"),
        ({"radii": (0.1, -1.0)}, "radius: is -1.0, it must be a number above 0"),
        ({"samples": 0}, "samples"),
        ({"attack_steps": -1}, "attack_steps"),
        ({"attack_draws": 0}, "attack_draws"),
        ({"seed": -1}, "seed"),
    ],
)
def test_settings(given, words):
    with pytest.raises(InputError, match=words):
        RobustnessSettings(**given)
