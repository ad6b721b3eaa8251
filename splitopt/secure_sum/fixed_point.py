"""Numbers as integers modulo a power of two, so that masks cancel exactly and sums do not round."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from splitopt.errors import TrainingError

Words = npt.NDArray[np.uint64]
"""Integers modulo 2^64."""


@dataclass(frozen=True)
class FixedPoint:
    """Numbers as integers modulo 2^bits, so that masks cancel exactly and a sum has no rounding.

    A value of `encode` is rounded down to a multiple of 2^-places. A sum of such values is
    therefore exact and at most the true sum, and less than (number of values) * 2^-places below it.

    Parameters
    ----------
    bits
        Of an integer, a multiple of 8.
    places
        How many of them are behind the point.
    """

    bits: int
    places: int

    @property
    def modulus(self) -> int:
        """What the integers wrap at."""
        return 1 << self.bits

    @property
    def limit(self) -> float:
        """The sum from which on a total would no longer fit."""
        return math.ldexp(1.0, self.bits - self.places)

    def encode(self, value: float) -> int:
        """Return how many whole multiples of 2^-places a number holds."""
        numerator, denominator = value.as_integer_ratio()
        return (numerator << self.places) // denominator

    def decode(self, total: int) -> float:
        """Return the number nearest to a count of 2^-places."""
        return total / (1 << self.places)

    def add(self, values: Iterable[int], signed: bool = False) -> int:
        """Return the sum of what devices sent; the masks cancel.

        With `signed`, the upper half of the integers stands for negative sums.
        """
        total = sum(values) % self.modulus
        return total - self.modulus if signed and total >= self.modulus // 2 else total


WORD = FixedPoint(64, 32)
"""How entries of models are written: integers modulo 2^64 that count units of 2^-32."""


def most_of(summands: int) -> float:
    """Return below which size each of so many summands must be, so that no sum of them wraps."""
    return math.ldexp(1.0, WORD.bits - 1 - WORD.places) / summands - 1.0


def encode_words(values: npt.NDArray[np.float64], summands: int) -> Words:
    """Write numbers as words, each rounded to the nearest multiple of 2^-32.

    Parameters
    ----------
    values
        Shape (n,).
    summands
        Of how many such arrays there may be a sum.

    Returns
    -------
    Shape (n,): negative numbers as their complement, so that words add up modulo 2^64.

    Raises
    ------
    TrainingError
        A number is not finite, or so large that the sum could wrap; nothing of it has left yet.
    """
    largest = float(np.abs(values).max(initial=0.0))
    if not largest <= most_of(summands):  # nor if it is no number
        raise TrainingError(
            f"a value times its weight is {largest:g}, and a secure sum of {summands} takes those "
            f"up to {most_of(summands):g}; train with a smaller learning rate, or without "
            "secure_aggregation"
        )
    scaled = np.rint(np.ldexp(values, WORD.places)).astype(np.int64)
    return scaled.view(np.uint64)


def decode_words(total: Words) -> npt.NDArray[np.float64]:
    """Return the numbers, shape (n,), that a sum of words stands for."""
    return np.ldexp(total.view(np.int64).astype(np.float64), -WORD.places)
