"""Intervals against scipy, and coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from splitopt.solvers.cut_under_uncertainty.intervals import gap_bound, mean_interval, paired


def test_the_mean_interval_is_that_of_scipy():
    """Student's interval."""
    values = np.random.default_rng(0).normal(3, 2, 12)
    low, high = scipy.stats.t.interval(0.9, 11, values.mean(), scipy.stats.sem(values))
    found = mean_interval(values, 0.9)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert mean_interval(values[:1], 0.9).high == np.inf
    assert paired(values, values, 0.9).high == 0.0


def test_the_gap_bound_by_hand():
    """Mean plus the one-sided quantile times the standard error."""
    gaps = np.array([0.0, 1.0, 2.0])
    found = gap_bound(gaps, 0.95)
    assert found.mean == 1.0
    assert found.bound == pytest.approx(1 + scipy.stats.t.ppf(0.95, 2) / np.sqrt(3))


def test_intervals_cover_the_mean():
    """Of 2,000 intervals of exponential samples about as many as promised hold the mean."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(2000):
        found = mean_interval(rng.exponential(size=80), 0.9)
        held += found.low <= 1.0 <= found.high
    assert 0.87 <= held / 2000 <= 0.92
