"""Sums that are learnt without learning a summand: pairwise masks that cancel.

What one of two devices adds, the other subtracts. Each pair of neighbours shares a key. For a
label, the key gives pseudo-random integers (BLAKE2b with a key is a pseudo-random function); no two
sums of a run may have the same label. The construction is that of secure aggregation (Bonawitz et
al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning", CCS 2017) without its
protection against drop-outs; a sparse graph of pairs in place of all of them is that of Bell et
al., "Secure Single-Server Aggregation with (Poly)Logarithmic Overhead", CCS 2020. With two devices,
either can take its own value off the total.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b


@dataclass(frozen=True)
class FixedPoint:
    """Numbers as integers modulo 2^bits, so that masks cancel exactly and a sum has no rounding.

    A value is rounded down to a multiple of 2^-places. A sum of such values is therefore exact and
    at most the true sum, and less than (number of values) * 2^-places below it.

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


class Masks:
    """The masks of one device.

    Parameters
    ----------
    code
        How numbers are written.
    device
        Index of the device.
    keys
        Other device -> the key that only the two of them know.
    """

    def __init__(self, code: FixedPoint, device: int, keys: Mapping[int, bytes]) -> None:
        self._code = code
        # Of two devices the lower index adds the mask and the higher one subtracts it.
        self._keys = [(1 if device < other else -1, key) for other, key in keys.items()]

    def hide(self, values: Sequence[int], label: bytes) -> tuple[int, ...]:
        """Return values plus this device's masks of a label: at most 64 bytes of integers."""
        size = self._code.bits // 8
        hidden = list(values)
        for sign, key in self._keys:
            stream = blake2b(label, key=key, digest_size=size * len(values)).digest()
            for i in range(len(hidden)):
                hidden[i] += sign * int.from_bytes(stream[size * i : size * (i + 1)], "big")
        return tuple(value % self._code.modulus for value in hidden)


def ring_neighbours(device: int, devices: int, neighbours: int) -> list[int]:
    """Return the devices nearest on a ring, half of them on each side; the graph is connected."""
    reach = min((neighbours + 1) // 2, devices // 2)
    steps = [step for step in range(-reach, reach + 1) if step]
    return sorted({(device + step) % devices for step in steps} - {device})


def ring_keys(seed: int, device: int, devices: int, neighbours: int) -> dict[int, bytes]:
    """Return the keys that a device shares with its neighbours on the ring.

    Deriving them from a seed makes a run repeatable; devices that must not trust the holder of a
    seed agree on each key among themselves instead.
    """
    return {
        other: blake2b(
            f"{seed}:{min(device, other)}:{max(device, other)}".encode(), digest_size=32
        ).digest()
        for other in ring_neighbours(device, devices, neighbours)
    }
