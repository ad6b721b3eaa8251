"""Quantiles and means against scipy's own distributions, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from splitopt.distributions import (
    Constant,
    Empirical,
    Lognormal,
    Mixed,
    Normal,
    Uniform,
    distribution_from_data,
    uniforms,
)
from splitopt.errors import InputError

U = np.linspace(0.0005, 0.9995, 200)

LIMITS = [(-np.inf, np.inf), (0.05, np.inf), (-1.0, 0.7), (3.0, 9.0), (-9.0, -2.5), (8.0, np.inf)]


@pytest.mark.parametrize(("low", "high"), LIMITS)
def test_truncated_normal_is_that_of_scipy(low, high):
    """Quantiles and mean under the condition agree with `scipy.stats.truncnorm`, also far out."""
    mean, std = 0.5, 0.6
    ours = Normal(mean, std, low, high)
    with np.errstate(all="ignore"):
        theirs = scipy.stats.truncnorm((low - mean) / std, (high - mean) / std, mean, std)
        quantiles, expected = theirs.ppf(U), theirs.mean()
    np.testing.assert_allclose(ours.quantile(U), quantiles, rtol=1e-7, atol=1e-9)
    assert float(ours.expectation()) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize(("low", "high"), LIMITS)
def test_the_clipped_normal_has_the_mean_of_its_draws(low, high):
    """Clipping moves what is outside onto the limits; the mean is the integral of the quantiles."""
    ours = Normal(0.5, 0.6, low, high, "clip")
    fine = (np.arange(200_000) + 0.5) / 200_000
    assert ours.quantile(fine).mean() == pytest.approx(float(ours.expectation()), abs=2e-5)
    assert ours.quantile(U).min() >= low
    assert ours.quantile(U).max() <= high


def test_lognormal_is_that_of_scipy():
    """Mean and standard deviation are those of the quantity, not of its logarithm."""
    ours = Lognormal(2.0, 3.0)
    sigma = np.sqrt(np.log(1 + 9 / 4))
    theirs = scipy.stats.lognorm(sigma, scale=2.0 * np.exp(-(sigma**2) / 2))
    assert (theirs.mean(), theirs.std()) == pytest.approx((2.0, 3.0))
    np.testing.assert_allclose(ours.quantile(U), theirs.ppf(U), rtol=1e-10)
    assert float(ours.expectation()) == 2.0


def test_the_simple_kinds():
    """Constant, uniform and empirical give what they must."""
    assert (Constant(3.0).quantile(U) == 3.0).all()
    np.testing.assert_allclose(Uniform(1.0, 3.0).quantile(U), 1 + 2 * U)
    assert float(Uniform(1.0, 3.0).expectation()) == 2.0
    measured = Empirical([3.0, 1.0, 2.0])
    np.testing.assert_array_equal(measured.quantile(np.array([0.1, 0.5, 0.9])), [1.0, 2.0, 3.0])
    assert float(measured.expectation()) == 2.0


def test_devices_may_have_parameters_of_their_own():
    """Arrays of parameters, columns of values and mixed kinds give a column per device."""
    u = uniforms(0, (1,), 3)
    normal = Normal([1.0, 10.0, 100.0], 0.1, 0.5)
    assert normal.devices == 3
    singles = [Normal(mean, 0.1, 0.5) for mean in (1.0, 10.0, 100.0)]
    expected = [float(single.quantile(u[n])) for n, single in enumerate(singles)]
    np.testing.assert_allclose(normal.quantile(u), expected)
    np.testing.assert_allclose(Mixed(singles).quantile(u), expected)
    np.testing.assert_allclose(Mixed(singles).expectation(), normal.expectation())
    table = Empirical([[1.0, 5.0, 9.0], [2.0, 4.0, 8.0]])
    assert table.devices == 3
    assert set(table.quantile(u)) <= {1.0, 2.0, 4.0, 5.0, 8.0, 9.0}


@pytest.mark.parametrize(
    "distribution",
    [
        Constant(2.0),
        Normal([1.0, 2.0], 0.1, low=0.2),
        Normal(1.0, 0.1, 0.2, 3.0, "clip"),
        Lognormal(1.0, [0.1, 0.2]),
        Uniform(1.0, 2.0),
        Empirical([[1.0, 2.0]]),
        Mixed([Constant(1.0), Normal(1.0, 0.1)]),
    ],
)
def test_plain_data_reads_back(distribution):
    """`to_data` and `distribution_from_data` are inverse to each other."""
    copy = distribution_from_data(distribution.to_data(), "x")
    u = uniforms(0, (5,), distribution.devices or 4)
    np.testing.assert_array_equal(copy.quantile(u), distribution.quantile(u))
    assert copy.to_data() == distribution.to_data()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (3, "x: must be an object with the key 'kind'"),
        ({"kind": "gamma"}, "x: kind is 'gamma', known are constant, normal"),
        ({"kind": ["normal"]}, "known are constant"),
        ({"kind": "normal", "mean": 1}, "x: normal needs the parameter 'std'"),
        ({"kind": "normal", "mean": 1, "std": 1, "floor": 0}, "has no parameter 'floor'"),
        ({"kind": "normal", "mean": 1, "std": -1}, "x.std: is -1, it must be >= 0"),
        ({"kind": "normal", "mean": [1, 2], "std": [1, -2]}, r"x.std\[1\]: is -2"),
        ({"kind": "normal", "mean": 1, "std": 1, "low": 2, "high": 1}, "must be above 'low'"),
        ({"kind": "normal", "mean": 1, "std": 0, "low": 2}, "lies outside the limits"),
        ({"kind": "normal", "mean": 1, "std": 0.01, "low": 2}, "more than 30 'std' away"),
        ({"kind": "normal", "mean": 1, "std": 1, "outside": "wrap"}, "'redraw' or 'clip'"),
        ({"kind": "normal", "mean": "one", "std": 1}, "x.mean: is 'one', it must be a number"),
        ({"kind": "normal", "mean": float("nan"), "std": 1}, "x.mean: holds a number that"),
        ({"kind": "normal", "mean": [1, 2, 3], "std": [1, 2]}, "one per device"),
        ({"kind": "lognormal", "mean": 0, "std": 1}, "mean of a lognormal is above 0"),
        ({"kind": "uniform", "low": 2, "high": 1}, "must not be below 'low'"),
        ({"kind": "empirical", "values": []}, "x.values: must be a list of numbers"),
        ({"kind": "empirical", "values": ["a"]}, "x.values: must be numbers"),
        ({"kind": "empirical", "values": [1, float("inf")]}, "not finite"),
        ([], "x.parts: is empty|parts: is empty"),
        ([{"kind": "constant", "value": [1, 2]}], r"parts\[0\]: has parameters of several"),
    ],
)
def test_what_cannot_be_read_is_refused(data, words):
    """One sentence with field, value and mend."""
    with pytest.raises(InputError, match=words):
        distribution_from_data(data, "x")


def test_ends_are_the_limits_or_about_eight_deviations():
    """Nothing that is drawn lies outside."""
    low, high = Normal(10.0, 1.0, low=9.0).ends(2)
    assert low.tolist() == [9.0, 9.0]
    assert 18.0 < high[0] < 18.5
    low, high = Uniform([1.0, 2.0], [3.0, 4.0]).ends(2)
    np.testing.assert_allclose([low, high], [[1.0, 2.0], [3.0, 4.0]])
    low, high = Empirical([3.0, 1.0, 2.0]).ends(1)
    assert (low[0], high[0]) == (1.0, 3.0)
    low, high = Mixed([Constant(5.0), Normal(0.0, 1.0, -2.0, 2.0)]).ends(2)
    np.testing.assert_allclose([low, high], [[5.0, -2.0], [5.0, 2.0]])


def test_atoms_are_the_equally_likely_values_of_each_device():
    """Columns of a table, one value of a constant, none of a density."""
    table = Empirical([[1.0, 5.0], [2.0, 4.0]]).atoms(2)
    assert [sorted(values.tolist()) for values in table] == [[1.0, 2.0], [4.0, 5.0]]
    assert [v.tolist() for v in Constant(3.0).atoms(2)] == [[3.0], [3.0]]
    mixed = Mixed([Constant(3.0), Empirical([1.0, 2.0])]).atoms(2)
    assert [v.tolist() for v in mixed] == [[3.0], [1.0, 2.0]]
    assert Mixed([Constant(3.0), Uniform(1.0, 2.0)]).atoms(2) is None
    assert Normal(1.0, 1.0).atoms(3) is None
