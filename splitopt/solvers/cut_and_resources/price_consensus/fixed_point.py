"""Numbers as integers modulo 2^128, so that masks cancel exactly and a sum has no rounding.

A value is rounded down to a multiple of 2^-f. A sum of such values is therefore exact and at most
the true sum, and less than (number of values) * 2^-f below it.
"""

from __future__ import annotations

import math

BITS = 128
MODULUS = 1 << BITS


def encode(value: float, fraction_bits: int) -> int:
    """Round a number >= 0 down to a multiple of 2^-fraction_bits and count those."""
    return math.floor(math.ldexp(value, fraction_bits))


def decode(total: int, fraction_bits: int) -> float:
    """Turn a count of 2^-fraction_bits into the nearest number."""
    return total / (1 << fraction_bits)


def largest(fraction_bits: int) -> float:
    """Give the sum from which on a total would no longer fit."""
    return math.ldexp(1.0, BITS - fraction_bits)
