"""Masks hide every single value and vanish from sums."""

from __future__ import annotations

import pytest

from splitopt.solvers.cut_and_resources.price_consensus.fixed_point import (
    MODULUS,
    decode,
    encode,
)
from splitopt.solvers.cut_and_resources.price_consensus.masks import Masks, ring_neighbours


@pytest.mark.parametrize("devices", [2, 3, 4, 9, 10, 25])
@pytest.mark.parametrize("neighbours", [2, 3, 8])
def test_masks_cancel_exactly(devices, neighbours):
    """The sum of all masked values is the sum of the values, whatever the graph of pairs."""
    plain = [(n, 10**30 + n, 0, 7 * n) for n in range(devices)]
    parties = [Masks(5, n, devices, neighbours) for n in range(devices)]
    hidden = [party.hide(values, 3) for party, values in zip(parties, plain, strict=True)]
    for before, after in zip(zip(*plain, strict=True), zip(*hidden, strict=True), strict=True):
        assert sum(after) % MODULUS == sum(before) % MODULUS
        assert not set(before) & set(after)


@pytest.mark.parametrize("devices", [2, 3, 6, 7, 30])
def test_pairs_are_mutual_and_connected(devices):
    """Both of a pair know of it, and every device is reached from every other."""
    near = {n: ring_neighbours(n, devices, 4) for n in range(devices)}
    assert all(n in near[other] and other != n for n, others in near.items() for other in others)
    assert all(len(others) >= min(4, devices - 1) for others in near.values())
    reached, new = {0}, {0}
    while new:
        new = {other for n in new for other in near[n]} - reached
        reached |= new
    assert len(reached) == devices


def test_a_masked_value_says_nothing_of_the_value():
    """Over many keys the masked numbers are uniform, for a small value as for a large one."""
    for value in (0, MODULUS // 3):
        seen = [Masks(seed, 0, 3, 2).hide((value,), 1)[0] / MODULUS for seed in range(2000)]
        counts = [sum(k / 8 <= one < (k + 1) / 8 for one in seen) for k in range(8)]
        assert len(set(seen)) == len(seen)
        chi_square = sum((count - 250) ** 2 / 250 for count in counts)
        assert chi_square < 24.3  # 0.1 % of uniform samples are above it (7 degrees of freedom)


def test_every_round_has_new_masks():
    """The same value looks different in every round, or differences of rounds would show."""
    party = Masks(0, 1, 4, 2)
    assert len({party.hide((42,), turn) for turn in range(100)}) == 100


@pytest.mark.parametrize("value", [0.0, 5e-324, 1e-9, 0.1, 1.0, 123456.789, 2.0**60 + 1.0])
@pytest.mark.parametrize("bits", [0, 8, 64])
def test_encoding_rounds_down_by_less_than_one_unit(value, bits):
    """A value is never overstated, and understated by less than 2^-bits."""
    code = encode(value, bits)
    assert code * 2.0**-bits <= value < (code + 1) * 2.0**-bits or decode(code, bits) == value
