"""Checks of single values: what counts as a number, and what is said of anything else."""

from __future__ import annotations

import math

import numpy as np
import pytest

from splitopt import InputError
from splitopt.documents.checks import (
    as_float,
    as_whole,
    check_choice,
    check_number,
    check_whole,
    is_finite,
    is_integer,
    is_number,
    is_real,
    is_whole,
)


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


TOO_LARGE = 10**400
VALUES = [3, 2.0, 2.5, math.inf, TOO_LARGE, np.int64(3), np.float32(2.5), True, np.True_, "3", 1j]


@pytest.mark.parametrize(
    ("accepts", "accepted"),
    [
        (is_number, [3, 2.0, 2.5, math.inf, TOO_LARGE]),
        (is_finite, [3, 2.0, 2.5]),
        (is_whole, [3, TOO_LARGE]),
        (lambda value: is_whole(value, 4), [TOO_LARGE]),
        (is_real, [3, 2.0, 2.5, math.inf, TOO_LARGE, np.int64(3), np.float32(2.5)]),
        (is_integer, [3, TOO_LARGE, np.int64(3)]),
        (lambda value: as_whole(value) is not None, [3, 2.0, TOO_LARGE, np.int64(3)]),
    ],
)
def test_what_counts_as_a_number(accepts, accepted):
    """Truth values, texts and complex numbers never do."""
    found = [value for value in VALUES if accepts(value)]
    assert [(type(value), value) for value in found] == [(type(item), item) for item in accepted]


def test_numbers_beyond_the_largest_float_are_infinite():
    """Of either sign; a whole float is the integer that it equals."""
    assert as_float(TOO_LARGE) == math.inf
    assert as_float(-TOO_LARGE) == -math.inf
    assert as_float(2) == 2.0
    assert as_whole(-2.0) == -2
    assert as_whole(TOO_LARGE) == TOO_LARGE
    assert as_whole(math.nan) is None
