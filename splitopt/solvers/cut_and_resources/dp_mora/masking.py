"""Sums that the server learns without learning a summand: pairwise masks that cancel.

Values are fixed-point numbers modulo 2^256 with 128 binary places, so that masks cancel exactly and
the total is the exact sum. With two devices, either can take its own value off the total.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

MODULUS = 1 << 256
_PLACES = 128


def to_fixed(value: float) -> int:
    """Give a number as a fixed-point integer, rounded down."""
    numerator, denominator = value.as_integer_ratio()
    return (numerator << _PLACES) // denominator


def from_fixed(total: int) -> float:
    """Give the number of a total modulo 2^256; the upper half stands for negative numbers."""
    signed = total - MODULUS if total >= MODULUS // 2 else total
    return signed / (1 << _PLACES)


def masked(value: float, device: int, keys: Mapping[int, bytes], label: str) -> int:
    """Hide a device's value behind one mask per other device.

    Parameters
    ----------
    keys
        Other device -> the key that only the two of them know.
    label
        Names the sum; no two sums of a run may have the same label.
    """
    hidden = to_fixed(value)
    for other, key in keys.items():
        digest = hashlib.blake2b(label.encode(), key=key, digest_size=32).digest()
        mask = int.from_bytes(digest, "big")
        hidden += mask if device < other else -mask
    return hidden % MODULUS


def unmasked_total(values: Iterable[int]) -> float:
    """Add what the devices sent; the masks cancel."""
    return from_fixed(sum(values) % MODULUS)


def exact_total(values: Iterable[float]) -> float:
    """Give what `unmasked_total` gives for the masked values of the same numbers."""
    return from_fixed(sum(to_fixed(value) for value in values) % MODULUS)
