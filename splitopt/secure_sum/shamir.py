"""Shamir's secret sharing: any T of the shares give the secret, and fewer say nothing of it.

A. Shamir, "How to Share a Secret", Communications of the ACM 22(11), 1979. The secret is the value
at 0 of a polynomial of degree T - 1 over a prime field whose other coefficients are uniform; party
n has the value at n + 1.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping

PRIME = 2**256 + 297
"""The smallest prime above 2^256, so that every secret of 32 bytes is an element of the field."""
SECRET_BYTES, SHARE_BYTES = 32, 33


def split(secret: bytes, threshold: int, parties: Collection[int]) -> dict[int, bytes]:
    """Return a share of a secret for each party.

    Parameters
    ----------
    secret
        32 bytes.
    threshold
        How many shares give it back, T.
    parties
        Their numbers, from 0.

    Returns
    -------
    By party, 33 bytes each.
    """
    assert len(secret) == SECRET_BYTES
    coefficients = [int.from_bytes(secret, "big")]
    coefficients += [secrets.randbelow(PRIME) for _ in range(threshold - 1)]
    return {n: _value(coefficients, n + 1).to_bytes(SHARE_BYTES, "big") for n in parties}


def combine(shares: Mapping[int, bytes]) -> bytes | None:
    """Return the secret that shares of at least the threshold's number give.

    Fewer shares, or some that do not belong together, give another element of the field, which
    nothing here can tell from the secret; None where it is none of 32 bytes.
    """
    points = {n + 1: int.from_bytes(share, "big") for n, share in shares.items()}
    total = 0
    for x, value in points.items():
        above, below = 1, 1
        for other in points:
            if other != x:
                above, below = above * other % PRIME, below * (other - x) % PRIME
        total += value * above * pow(below, -1, PRIME)
    total %= PRIME
    return total.to_bytes(SECRET_BYTES, "big") if total < 1 << 8 * SECRET_BYTES else None


def _value(coefficients: list[int], x: int) -> int:
    """Return the value of a polynomial, whose coefficients begin with that of degree 0."""
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * x + coefficient) % PRIME
    return value
