"""CVaR against its definition as a minimum, and against sorting by hand."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize

from splitopt.problems.cut_under_uncertainty.risk import (
    cvar,
    shortfall,
    statistic,
    value_at_risk,
)


@pytest.mark.parametrize("level", [0.0, 0.3, 0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("count", [1, 7, 10, 40])
def test_cvar_is_the_minimum_that_defines_it(level, count):
    """The linear programme of Rockafellar and Uryasev gives the same value."""
    values = np.random.default_rng(count).exponential(size=count)
    # min t + sum(z) / ((1 - level) count), z >= x - t, z >= 0
    cost = np.r_[1.0, np.full(count, 1 / ((1 - level) * count))]
    rows = np.hstack([-np.ones((count, 1)), -np.eye(count)])
    limits = [(None, None), *[(0, None)] * count]
    found = scipy.optimize.linprog(cost, A_ub=rows, b_ub=-values, bounds=limits)
    assert cvar(values, level) == pytest.approx(found.fun, rel=1e-9)
    threshold = value_at_risk(values, level)
    assert shortfall(values, threshold, level).mean() == pytest.approx(found.fun, rel=1e-9)


def test_by_hand():
    """The worst tenth of ten is the largest; of fifteen, one and a half."""
    assert cvar(np.arange(10.0), 0.9) == 9.0
    assert cvar(np.arange(15.0), 0.9) == pytest.approx((14 + 0.5 * 13) / 1.5)
    assert cvar(np.arange(10.0), 0.0) == 4.5
    assert statistic(np.arange(10.0), "expected", 0.9) == 4.5
    table = np.random.default_rng(0).random((3, 20))
    np.testing.assert_allclose(cvar(table, 0.8), [cvar(row, 0.8) for row in table])


def test_any_threshold_is_an_upper_bound():
    """A threshold of other samples never makes the mean smaller than the CVaR."""
    values = np.random.default_rng(1).exponential(size=50)
    for threshold in np.linspace(0, 5, 30):
        assert shortfall(values, threshold, 0.8).mean() >= cvar(values, 0.8) - 1e-12
