"""Pairwise masks that cancel in a sum over all parties.

What one of two parties adds, the other subtracts. Each pair of neighbours shares a key. For a
label, the key gives pseudo-random integers, see `stream`; no two sums under the same keys may have
the same label. The construction is that of secure aggregation (Bonawitz et al., "Practical Secure
Aggregation for Privacy-Preserving Machine Learning", CCS 2017); `splitopt.secure_sum.protocol` has
its protection against drop-outs. A sparse graph of pairs in place of all of them is that of Bell et
al., "Secure Single-Server Aggregation with (Poly)Logarithmic Overhead", CCS 2020. With two devices,
either can take its own value off the total.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b

import numpy as np

from splitopt.secure_sum.fixed_point import FixedPoint, Words

_SHORT = 64
"""Bytes that keyed BLAKE2b gives at once."""
_MOST = 64
"""How often it is called for one stream, at most."""


def stream(key: bytes, label: bytes, size: int) -> bytes:
    """Return the pseudo-random bytes of a key (at most 64 bytes) for a label.

    Up to 64 bytes are keyed BLAKE2b of the label, which is a pseudo-random function; up to 4,096
    begin with these, and each 64 behind them are those of the label and their number. More are the
    keystream of AES-256 in counter mode, whose key and first counter are the 48 bytes that BLAKE2b
    gives for the label and the word ``long``; that needs the package `cryptography`.
    """
    if size <= _SHORT:
        return blake2b(label, key=key, digest_size=max(size, 1)).digest()[:size]
    if size <= _SHORT * _MOST:
        numbers = range(1, -(-size // _SHORT))
        labels = [label, *(label + number.to_bytes(4, "big") for number in numbers)]
        return b"".join(blake2b(each, key=key).digest() for each in labels)[:size]
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CTR

    drawn = blake2b(b"long" + label, key=key, digest_size=48).digest()
    return Cipher(AES(drawn[:32]), CTR(drawn[32:])).encryptor().update(bytes(size))


class Masks:
    """The masks of one party.

    Parameters
    ----------
    code
        How numbers are written.
    device
        Index of the party.
    keys
        Other party -> the key that only the two of them know.
    """

    def __init__(self, code: FixedPoint, device: int, keys: Mapping[int, bytes]) -> None:
        self._code = code
        # Of two devices the lower index adds the mask and the higher one subtracts it.
        self._keys = [(1 if device < other else -1, key) for other, key in keys.items()]

    def hide(self, values: Sequence[int], label: bytes) -> tuple[int, ...]:
        """Return values plus this device's masks of a label."""
        size = self._code.bits // 8
        hidden = list(values)
        for sign, key in self._keys:
            drawn = stream(key, label, size * len(values))
            for i in range(len(hidden)):
                hidden[i] += sign * int.from_bytes(drawn[size * i : size * (i + 1)], "big")
        return tuple(value % self._code.modulus for value in hidden)

    def hide_words(self, values: Words, label: bytes) -> Words:
        """Return words, shape (n,), plus this device's masks of a label, modulo 2^64."""
        hidden = values.copy()
        for sign, key in self._keys:
            drawn = words_of(key, label, len(values))
            if sign > 0:
                hidden += drawn  # unsigned integers wrap
            else:
                hidden -= drawn
        return hidden


def words_of(key: bytes, label: bytes, count: int) -> Words:
    """Return the pseudo-random words of a key for a label, shape (count,)."""
    drawn: Words = np.frombuffer(stream(key, label, 8 * count), dtype="<u8")
    return drawn


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
