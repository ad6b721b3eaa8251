"""Masked sums: exact totals of values that nobody sees."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from splitopt.solvers.cut_and_resources.dp_mora.masking import (
    exact_total,
    from_fixed,
    masked,
    to_fixed,
    unmasked_total,
)


def exchange(values, seed, label="sum"):
    rng = np.random.default_rng(seed)
    keys = [{} for _ in values]
    for n, m in itertools.combinations(range(len(values)), 2):
        keys[n][m] = keys[m][n] = rng.bytes(32)
    return [masked(value, n, keys[n], label) for n, value in enumerate(values)]


@pytest.mark.parametrize("values", [[0.1, 0.2, 0.3], [1e-30, 1e30, 5.0], [0.0, 0.0], [7.5]])
def test_masks_cancel(values):
    """The total of the masked values is the exact sum of the values."""
    assert unmasked_total(exchange(values, 0)) == exact_total(values)
    assert exact_total(values) == pytest.approx(sum(values), rel=1e-15, abs=1e-37)


def test_a_masked_value_says_nothing_of_the_value():
    """Other keys or another sum give unrelated numbers; bits are set about half of the time."""
    values = [1.0, 2.0, 3.0]
    first, second = exchange(values, 0), exchange(values, 1)
    third = exchange(values, 0, "another")
    assert not {*first} & {*second, *third, *map(to_fixed, values)}
    bits = [int(value).bit_count() for seed in range(100) for value in exchange(values, seed)]
    assert 126 < np.mean(bits) < 130


def test_fixed_point_and_back():
    """Numbers with up to 128 binary places come back as they were, negative ones too."""
    for value in (0.0, 0.1, 3.5, 1e6 / 3):
        assert from_fixed(to_fixed(value)) == value
    assert from_fixed(to_fixed(-2.25) % (1 << 256)) == -2.25
