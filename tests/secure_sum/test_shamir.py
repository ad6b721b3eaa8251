"""Shares against other interpolations: rational arithmetic, and elimination in the field."""

from __future__ import annotations

import itertools
import secrets
from fractions import Fraction

import pytest

from splitopt.secure_sum import shamir
from splitopt.secure_sum.shamir import PRIME, combine, split


def is_prime(n):
    """Test by Miller and Rabin with 40 bases drawn at random."""
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(40):
        x = pow(secrets.randbelow(n - 3) + 2, odd, n)
        if x in (1, n - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def at_zero(points):
    """Interpolate over the rationals (Lagrange), then go over to the field."""
    total = Fraction(0)
    for x, y in points.items():
        basis = Fraction(1)
        for other in points:
            if other != x:
                basis *= Fraction(-other, x - other)
        total += y * basis
    return total.numerator * pow(total.denominator, -1, PRIME) % PRIME


def solved(points):
    """Solve the Vandermonde system by elimination in the field; return all coefficients."""
    size = len(points)
    rows = [[pow(x, k, PRIME) for k in range(size)] + [y] for x, y in points.items()]
    for column in range(size):
        pivot = next(r for r in range(column, size) if rows[r][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        inverse = pow(rows[column][column], PRIME - 2, PRIME)
        rows[column] = [value * inverse % PRIME for value in rows[column]]
        for r in range(size):
            if r != column and rows[r][column]:
                factor = rows[r][column]
                rows[r] = [
                    (a - factor * b) % PRIME for a, b in zip(rows[r], rows[column], strict=True)
                ]
    return [row[-1] for row in rows]


def test_the_field_is_one_and_holds_every_secret():
    """No prime lies between 2^256 and the modulus."""
    assert is_prime(PRIME)
    assert not any(is_prime(n) for n in range(2**256 + 1, PRIME, 2))


@pytest.mark.parametrize(("threshold", "parties"), [(2, 2), (2, 5), (3, 5), (5, 5), (4, 7)])
def test_any_shares_of_the_threshold_give_the_secret(threshold, parties):
    """Every subset, by this code, by rational interpolation and by elimination."""
    secret = secrets.token_bytes(32)
    shares = split(secret, threshold, range(parties))
    wanted = int.from_bytes(secret, "big")
    for chosen in itertools.combinations(range(parties), threshold):
        own = {n: shares[n] for n in chosen}
        assert combine(own) == secret
        points = {n + 1: int.from_bytes(share, "big") for n, share in own.items()}
        assert at_zero(points) == wanted
        assert solved(points)[0] == wanted
    assert combine(shares) == secret


@pytest.mark.parametrize("threshold", [2, 3, 5])
def test_one_share_less_gives_another_number(threshold):
    """And every secret is as likely: some polynomial through the shares has it at 0."""
    secret = secrets.token_bytes(32)
    shares = split(secret, threshold, range(6))
    few = {n: shares[n] for n in range(threshold - 1)}
    assert combine(few) != secret
    for other in (bytes(32), b"\xff" * 32):
        points = {n + 1: int.from_bytes(share, "big") for n, share in few.items()}
        found = solved({0: int.from_bytes(other, "big"), **points})
        assert len(found) == threshold
        for x, y in points.items():
            assert sum(c * pow(x, k, PRIME) for k, c in enumerate(found)) % PRIME == y


def test_shares_are_drawn_anew(monkeypatch):
    """The same secret has other shares each time, and the coefficients are the system's."""
    secret = bytes(range(32))
    assert split(secret, 3, range(3)) != split(secret, 3, range(3))
    monkeypatch.setattr(shamir.secrets, "randbelow", lambda below: below - 1)
    shares = split(secret, 2, range(3))
    value = int.from_bytes(secret, "big")
    assert [int.from_bytes(own, "big") for own in shares.values()] == [
        (value - (n + 1)) % PRIME for n in range(3)
    ]


@pytest.mark.parametrize("secret", [bytes(32), b"\xff" * 32])
def test_the_ends_of_the_range(secret):
    """Zeros and ones are secrets like any other."""
    assert combine(split(secret, 3, (1, 4, 7))) == secret
