"""Bets by hand, what they must never do, and how often they are wrong under constant looking."""

from __future__ import annotations

import math

import numpy as np
import pytest

from splitopt.solvers.cut_under_uncertainty.confidence.betting import (
    SHARE,
    Moments,
    Wealth,
    check_lowest,
    mean_interval,
    stake,
)


def test_a_wealth_by_hand():
    """1.5 and 0.75 of the wealth: 1 + 0.5 (1 - 0) and 1 + 0.5 (-0.5 - 0)."""
    wealth = Wealth()
    wealth.add(np.array([1.0, -0.5]), 0.5)
    assert wealth.log(0.0) == pytest.approx(math.log(1.5 * 0.75))
    # (1.5 - m / 2) (0.75 - m / 2) = 2 has the root m = -0.6065 where both factors are above 0
    root = 2.25 - math.sqrt(2.25**2 - 4 * (1.5 * 0.75 - 2.0))
    assert wealth.lower_bound(math.log(2.0), -5.0, 1.0) == pytest.approx(root, abs=1e-8)
    assert Wealth().lower_bound(3.0, -7.0, 1.0) == -7.0


def test_stakes_come_from_the_moments_and_stay_below_ruin():
    """The share is d / (s^2 + d^2) with mean 1, variance 1 and slack 1: 2 / 5; at most 0.75 / b."""
    seen = Moments()
    seen.add(np.array([0.0, 2.0]))
    assert (float(seen.mean), float(seen.variance)) == (1.0, 1.0)
    assert float(stake(seen, 1.0, 1.0)) == pytest.approx(0.4)
    assert float(stake(seen, 1.0, 10.0)) == pytest.approx(SHARE / 10)
    losing = Moments()
    losing.add(np.array([-3.0, -3.0]))
    assert float(stake(losing, 1.0, 1.0)) == pytest.approx(SHARE)  # 0.5 / 0.25 = 2 is too much


def test_a_difference_below_its_end_is_a_defect():
    """Nothing that was concluded would hold."""
    check_lowest(np.array([-1.0, 5.0]), 1.0)
    with pytest.raises(RuntimeError, match="below the least that was assumed"):
        check_lowest(np.array([-1.0, 5.0]), 0.9)
    with pytest.raises(RuntimeError, match="below the least"):
        check_lowest(np.array([[0.0, 0.0], [0.0, -2.0]]), np.array([1.0, 1.0]))


@pytest.mark.one_quick
@pytest.mark.parametrize("chance", [0.5, 0.02])
def test_looking_all_the_time_is_wrong_at_most_as_often_as_promised(chance):
    """A mean of exactly 0, skewed to either side: of 500 bets at most 5 % ever reach 20."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(500):
        hits = rng.random(400) < chance
        values = np.where(hits, (1 - chance) / chance, -1.0)  # >= -1 with mean 0
        wealth, seen, highest = 0.0, Moments(), 0.0
        for part in np.split(values, 40):
            if seen.count:
                share = float(stake(seen, 0.1, 1.0))
                wealth += float(np.log1p(share * part).sum())
                highest = max(highest, wealth)
            seen.add(part)
        wrong += highest >= math.log(20)
    assert wrong / 500 <= 0.05


def test_a_mean_of_dependent_rounds_is_covered():
    """Means that drift with the last value: the average of the conditional means is held."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(300):
        values, means, last = [], [], 0.5
        for _ in range(60):
            mean = 0.3 + 0.4 * last
            last = float(rng.random() < mean)
            means.append(mean)
            values.append(last)
        low, high = mean_interval(np.array(values), 0.95, 0.5, 0.0, 1.0, 0.25)
        held += low <= np.mean(means) <= high
    assert held / 300 >= 0.95


def test_a_constant_has_an_interval_without_width():
    """Nothing lies above it, nothing below."""
    assert mean_interval(np.full(3, 2.0), 0.95, 2.0, 2.0, 2.0, 0.0) == (2.0, 2.0)
    with pytest.raises(RuntimeError, match="below the least"):
        mean_interval(np.array([3.0]), 0.95, 2.0, 1.0, 2.5, 1.0)
