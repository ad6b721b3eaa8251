"""Loops that are compiled, and the same ones as Python runs them."""

from __future__ import annotations

import sys

from splitopt.problems.compiling import compiled, plain


@compiled
def _square(x: float) -> float:
    return x * x


@compiled
def _sum_of_squares(n: int) -> float:
    total = 0.0
    for k in range(n):
        total += _square(0.1 * k)
    return total


def test_the_plain_self_calls_plain_selves():
    """Nothing is compiled on the way, and the numbers are the same."""
    seen = []
    sys.setprofile(lambda frame, event, _: seen.append(frame.f_code.co_name))
    value = plain(_sum_of_squares)(5)
    sys.setprofile(None)
    assert seen.count("_square") >= 5
    assert not _sum_of_squares.signatures
    assert not _square.signatures
    assert value == _sum_of_squares(5)
    assert plain(_square) is plain(_square)
