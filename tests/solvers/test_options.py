"""Checks of hyper-parameters."""

from __future__ import annotations

import math

import numpy as np
import pytest

from splitopt import InputError
from splitopt.solvers.options import check_choice, check_number, check_whole


@pytest.mark.parametrize("value", [0, -1, 1.0, True, None, "3", math.nan, np.float64(2)])
def test_only_whole_numbers_from_the_least_on_pass(value):
    """Anything else is refused with the name, the value and the mend."""
    check_whole("depth", 1, 1)
    with pytest.raises(InputError, match=r"^depth: is .*, it must be an integer >= 1$"):
        check_whole("depth", value, 1)


@pytest.mark.parametrize("value", [-0.1, 2.1, math.inf, math.nan, False, None, "1", [1]])
def test_only_numbers_in_the_interval_pass(value):
    """The ends belong to the interval; text, truth values and NaN are no numbers."""
    for inside in (0, 0.5, 2):
        check_number("rate", inside, 0, 2)
    with pytest.raises(InputError, match=r"^rate: is .*, it must be a number from 0 to 2$"):
        check_number("rate", value, 0, 2)


@pytest.mark.parametrize("value", ["c", None, 1, ["a"]])
def test_only_known_words_pass(value):
    """The refusal lists the words that are known."""
    check_choice("mode", "a", ("a", "b"))
    with pytest.raises(InputError, match=r"^mode: is .*, it must be one of a, b$"):
        check_choice("mode", value, ("a", "b"))
