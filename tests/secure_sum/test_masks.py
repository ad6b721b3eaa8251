"""Masks hide every single value and vanish from sums."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from splitopt.secure_sum.fixed_point import FixedPoint
from splitopt.secure_sum.masks import (
    Masks,
    ring_keys,
    ring_neighbours,
)

NARROW = FixedPoint(128, 64)
WIDE = FixedPoint(256, 128)


def on_a_ring(seed, devices, neighbours, code=NARROW):
    keys = [ring_keys(seed, n, devices, neighbours) for n in range(devices)]
    return [Masks(code, n, own) for n, own in enumerate(keys)]


def in_pairs(values, seed, label=b"sum"):
    """Hide one value of each device behind keys that all pairs agreed on."""
    rng = np.random.default_rng(seed)
    keys = [{} for _ in values]
    for n, m in itertools.combinations(range(len(values)), 2):
        keys[n][m] = keys[m][n] = rng.bytes(32)
    parties = [Masks(WIDE, n, own) for n, own in enumerate(keys)]
    codes = [WIDE.encode(value) for value in values]
    return [party.hide([code], label)[0] for party, code in zip(parties, codes, strict=True)]


@pytest.mark.parametrize("devices", [2, 3, 4, 9, 10, 25])
@pytest.mark.parametrize("neighbours", [2, 3, 8])
def test_masks_cancel_exactly(devices, neighbours):
    """The sum of all masked values is the sum of the values, whatever the graph of pairs."""
    clear = [(n, 10**30 + n, 0, 7 * n) for n in range(devices)]
    parties = on_a_ring(5, devices, neighbours)
    hidden = [party.hide(values, b"3") for party, values in zip(parties, clear, strict=True)]
    for before, after in zip(zip(*clear, strict=True), zip(*hidden, strict=True), strict=True):
        assert NARROW.add(after) == sum(before)
        assert not set(before) & set(after)


@pytest.mark.parametrize(
    "values", [[0.1, 0.2, 0.3], [1e-30, 1e30, 5.0], [0.0, 0.0], [7.5], [-0.1, 0.025, -3.0]]
)
def test_the_total_is_the_exact_sum(values):
    """Rationals say what the sum is; each value may lose less than 2^-128, downwards."""
    total = WIDE.decode(WIDE.add(in_pairs(values, 0), signed=True))
    exact = sum(map(Fraction, values))
    lost = Fraction(len(values), 2**128)
    assert float(exact - lost) <= total <= float(exact)


@pytest.mark.parametrize("devices", [2, 3, 6, 7, 30])
def test_pairs_are_mutual_and_connected(devices):
    """Both of a pair know of it and hold one key, and every device is reached from every other."""
    near = {n: ring_neighbours(n, devices, 4) for n in range(devices)}
    assert all(n in near[other] and other != n for n, others in near.items() for other in others)
    assert all(len(others) >= min(4, devices - 1) for others in near.values())
    keys = [ring_keys(9, n, devices, 4) for n in range(devices)]
    assert all(keys[n][other] == keys[other][n] for n in near for other in near[n])
    reached, new = {0}, {0}
    while new:
        new = {other for n in new for other in near[n]} - reached
        reached |= new
    assert len(reached) == devices


def test_a_masked_value_says_nothing_of_the_value():
    """Over many keys the masked numbers are uniform, for a small value as for a large one."""
    modulus = 2**128
    for value in (0, modulus // 3):
        seen = [on_a_ring(seed, 3, 2)[0].hide((value,), b"1")[0] / modulus for seed in range(2000)]
        counts = [sum(k / 8 <= one < (k + 1) / 8 for one in seen) for k in range(8)]
        assert len(set(seen)) == len(seen)
        chi_square = sum((count - 250) ** 2 / 250 for count in counts)
        assert chi_square < 24.3  # 0.1 % of uniform samples are above it (7 degrees of freedom)


def test_other_keys_or_another_sum_give_unrelated_numbers():
    """Nothing repeats, nothing is in the clear, and bits are set about half of the time."""
    values = [1.0, 2.0, 3.0]
    first, second, third = in_pairs(values, 0), in_pairs(values, 1), in_pairs(values, 0, b"another")
    assert not {*first} & {*second, *third, *map(WIDE.encode, values)}
    bits = [value.bit_count() for seed in range(100) for value in in_pairs(values, seed)]
    assert 126 < np.mean(bits) < 130


def test_every_label_has_new_masks():
    """The same value looks different in every round, or differences of rounds would show."""
    party = on_a_ring(0, 4, 2)[1]
    assert len({party.hide((42,), bytes([turn])) for turn in range(100)}) == 100


@pytest.mark.parametrize("value", [0.0, 5e-324, 1e-9, 0.1, 1.0, 123456.789, 2.0**60 + 1.0])
@pytest.mark.parametrize("places", [0, 8, 64])
def test_encoding_rounds_down_by_less_than_one_unit(value, places):
    """A value is never overstated, and understated by less than 2^-places."""
    number = FixedPoint(128, places).encode(value)
    assert Fraction(number, 2**places) <= Fraction(value) < Fraction(number + 1, 2**places)


def test_what_fits_comes_back():
    """Numbers with up to 128 binary places come back as they were, negative ones too."""
    for value in (0.0, 0.1, 3.5, 1e6 / 3, -2.25):
        assert WIDE.decode(WIDE.add([WIDE.encode(value)], signed=True)) == value
    assert FixedPoint(128, 125).limit == 8.0
