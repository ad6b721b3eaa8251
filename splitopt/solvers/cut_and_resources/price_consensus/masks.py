"""Pairwise masks: what one of two devices adds, the other subtracts, so that only sums are seen.

Each pair of neighbours shares a key. For a round, the key gives pseudo-random integers modulo
2^128 (BLAKE2b with a key is a pseudo-random function), new ones in every round.
The construction is that of secure aggregation (Bonawitz et al., "Practical Secure Aggregation for
Privacy-Preserving Machine Learning", CCS 2017) without its protection against drop-outs; a sparse
graph of pairs in place of all of them is that of Bell et al., "Secure Single-Server Aggregation
with (Poly)Logarithmic Overhead", CCS 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from splitopt.solvers.cut_and_resources.price_consensus.fixed_point import BITS, MODULUS

_BYTES = BITS // 8


class Masks:
    """The masks of one device.

    Parameters
    ----------
    seed
        What all keys are derived from. It makes a run repeatable; devices that must not trust the
        holder of a seed agree on each key among themselves instead.
    device
        Index of the device.
    devices
        Number of devices N.
    neighbours
        With at least this many others the device shares a key, or with all where there are fewer.
    """

    def __init__(self, seed: int, device: int, devices: int, neighbours: int) -> None:
        others = ring_neighbours(device, devices, neighbours)
        self._keys = [(1 if device < other else -1, _key(seed, device, other)) for other in others]

    def hide(self, values: Sequence[int], turn: int) -> tuple[int, ...]:
        """Add this device's masks of a turn to its values (at most four)."""
        label = turn.to_bytes(8, "big")
        size = _BYTES * len(values)
        hidden = list(values)
        for sign, key in self._keys:
            stream = blake2b(label, key=key, digest_size=size).digest()
            for i in range(len(hidden)):
                part = stream[_BYTES * i : _BYTES * (i + 1)]
                hidden[i] += sign * int.from_bytes(part, "big")
        return tuple(value % MODULUS for value in hidden)


def ring_neighbours(device: int, devices: int, neighbours: int) -> list[int]:
    """Give the devices nearest on a ring, half of them on each side; the graph is connected."""
    reach = min((neighbours + 1) // 2, devices // 2)
    steps = [step for step in range(-reach, reach + 1) if step]
    return sorted({(device + step) % devices for step in steps} - {device})


def _key(seed: int, first: int, second: int) -> bytes:
    """Give the key that two devices share."""
    low, high = sorted((first, second))
    return blake2b(f"{seed}:{low}:{high}".encode(), digest_size=32).digest()
