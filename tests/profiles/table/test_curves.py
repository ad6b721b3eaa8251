from __future__ import annotations

import numpy as np
import pytest

from splitopt.errors import InputError
from splitopt.profiles import Curve


def test_a_quadratic_follows_polyval():
    """The quadratic is that of `np.polyval`, at integers and between them."""
    cuts = np.linspace(1, 18, 50)
    curve = Curve("quadratic", (0.9746, -5.58, 6.528))
    np.testing.assert_allclose(curve(cuts), np.polyval((0.9746, -5.58, 6.528), cuts), rtol=1e-12)


def test_a_reciprocal_by_hand():
    """The reciprocal is a / x + b and may be negative."""
    assert Curve("reciprocal", (3.0, -1.0))([1, 3, 6]).tolist() == [2.0, 0.0, -0.5]
    assert Curve("reciprocal", (3.0, -1.0))(2).shape == ()


def test_scaling_multiplies_the_value():
    """A scaled curve is the factor times the curve everywhere."""
    curve = Curve("quadratic", (1.0, 2.0, 3.0))
    assert curve.scaled(4.0)(5.0) == 4.0 * curve(5.0)


@pytest.mark.parametrize(
    ("family", "coefficients", "message"),
    [
        ("cubic", (1.0, 2.0), "family: is 'cubic'"),
        ("quadratic", (1.0, 2.0), "coefficients: a quadratic curve has 3 numbers"),
        ("reciprocal", "12", "coefficients: a reciprocal curve has 2 numbers"),
        ("reciprocal", (1.0, np.inf), r"coefficients.1.: is inf; give a finite"),
        ("reciprocal", (1.0, "2"), "is '2', which is not a number"),
        ("reciprocal", (True, 2.0), "is True, which is not a number"),
    ],
)
def test_wrong_curves_are_refused(family, coefficients, message):
    """An unknown family, a wrong count and what is not a finite number are refused."""
    with pytest.raises(InputError, match=message):
        Curve(family, coefficients)
