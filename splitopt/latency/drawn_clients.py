"""The expected round of clients of which some are drawn, each subset of a size equally likely."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, fsum


def expected_longest(seconds: Sequence[float], drawn: int) -> float:
    """Compute the expected time of the slowest of some clients that work side by side.

    Of the order statistics x_1 <= ... <= x_K the largest of m drawn ones is x_i in
    C(i - 1, m - 1) of the C(K, m) subsets, so that the expectation is exact.

    Parameters
    ----------
    seconds
        Of each client by itself.
    drawn
        How many are drawn, 1 to K.
    """
    every = comb(len(seconds), drawn)
    terms = (x * (comb(i, drawn - 1) / every) for i, x in enumerate(sorted(seconds)))
    return fsum(terms)
