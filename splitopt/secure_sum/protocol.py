"""One sum of vectors that survives drop-outs: double masking, with seeds in shares.

Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning", CCS 2017,
Fig. 4, for an honest but curious server. All messages go through the aggregator.

====  ==========================================  ==================================================
      a member sends                              so that
====  ==========================================  ==================================================
1     two public keys                             every pair can agree on a mask and seal shares
2     for each other member, sealed: a share of   T members together can take back the masks of one
      its private mask key and one of the seed    who leaves, or take off the own mask of one who
      of its own mask                             does not
3     its vector, plus its own mask, plus or      the masks of pairs cancel in the sum of all
      minus the mask of each pair
4     for each who sent a vector the share of     the sum is left. Never both of one member: its
      the seed; for each who did not, of the key  vector would be bare
====  ==========================================  ==================================================

A member makes new keys for every sum, since some may be taken apart.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np

from splitopt.secure_sum import shamir
from splitopt.secure_sum.fixed_point import WORD, Words
from splitopt.secure_sum.keys import (
    KEY_BYTES,
    SEAL_BYTES,
    KeyPair,
    SecureSumError,
    seal,
    unseal,
)
from splitopt.secure_sum.masks import Masks, words_of

LEAST = 3
"""Members of a sum: in one of two, each can take its own vector off and has the other's."""
SHARE_BYTES = shamir.SHARE_BYTES
SEALED_BYTES = 2 * SHARE_BYTES + SEAL_BYTES
"""Of the two shares of one member for another."""


def usual_threshold(members: int) -> int:
    """Return how many of the members must be left: two thirds of them, and 3 at least."""
    return max(LEAST, math.ceil(2 * members / 3))


class PublicKeys(NamedTuple):
    """Of one member: for sealed shares and for masks, 32 bytes each."""

    sealing: bytes
    masking: bytes

    @classmethod
    def read(cls, raw: bytes) -> PublicKeys:
        """Read 64 bytes."""
        if len(raw) != 2 * KEY_BYTES:
            raise SecureSumError("public keys of another length")
        return cls(raw[:KEY_BYTES], raw[KEY_BYTES:])


class Member:
    """One party of one sum, with what it must keep to itself.

    Parameters
    ----------
    index
        Its number among all parties, from 0.
    threshold
        How many members it takes to take masks off.
    label
        Of the sum; all members have the same.
    """

    def __init__(self, index: int, threshold: int, label: bytes) -> None:
        self.index, self.threshold, self.label = index, threshold, label
        self._sealing, self._masking = KeyPair.new(), KeyPair.new()
        self._seed = secrets.token_bytes(KEY_BYTES)
        self._keys: dict[int, PublicKeys] = {}
        self._own = (b"", b"")
        self._shares: dict[int, tuple[bytes, bytes]] = {}
        self._revealed = False

    def public_keys(self) -> bytes:
        """Return the public keys, 64 bytes."""
        return self._sealing.public + self._masking.public

    def shares(self, keys: Mapping[int, bytes]) -> dict[int, bytes]:
        """Return for each other member the sealed shares of the secrets of this one.

        Parameters
        ----------
        keys
            Public keys of all members, this one included.

        Raises
        ------
        SecureSumError
            There are fewer members than the threshold, keys are not whole or not different, or
            this member's are not there.
        """
        found = {n: PublicKeys.read(raw) for n, raw in keys.items()}
        if keys.get(self.index) != self.public_keys():
            raise SecureSumError("public keys among which one's own are not")
        if len(found) < self.threshold or self._keys:
            raise SecureSumError(
                f"public keys of {len(found)} members, and the threshold is {self.threshold}"
            )
        every = [key for own in found.values() for key in own]
        if len(set(every)) < len(every):
            raise SecureSumError("public keys that are not all different")
        self._keys = found
        of_key = shamir.split(self._masking.private, self.threshold, found)
        of_seed = shamir.split(self._seed, self.threshold, found)
        self._own = of_key[self.index], of_seed[self.index]
        return {
            n: seal(self._sealing_key(n, self.index, n), of_key[n] + of_seed[n])
            for n in found
            if n != self.index
        }

    def hide(self, values: Words, sealed: Mapping[int, bytes]) -> Words:
        """Return the vector of this member with all of its masks on.

        Parameters
        ----------
        values
            Shape (n,), as `splitopt.secure_sum.fixed_point.encode_words` writes them.
        sealed
            By member, what it has sealed for this one: of those who are still there.

        Raises
        ------
        SecureSumError
            Too few are, or shares cannot be read.
        """
        if len(sealed) + 1 < self.threshold or self._shares or not set(sealed) <= set(self._keys):
            raise SecureSumError(
                f"shares of {len(sealed) + 1} members, and the threshold is {self.threshold}"
            )
        for n, text in sealed.items():
            plain = unseal(self._sealing_key(n, n, self.index), text)
            if len(plain) != 2 * SHARE_BYTES:
                raise SecureSumError("shares of another length")
            self._shares[n] = plain[:SHARE_BYTES], plain[SHARE_BYTES:]
        self._shares[self.index] = self._own
        pairs = {
            n: self._masking.agree(self._keys[n].masking, b"mask " + self.label) for n in sealed
        }
        hidden = Masks(WORD, self.index, pairs).hide_words(values, self.label)
        hidden += words_of(self._seed, self.label, len(hidden))
        return hidden

    def reveal(self, survivors: Collection[int]) -> dict[int, bytes]:
        """Return one share of a secret of each member, with which T members take masks off.

        Parameters
        ----------
        survivors
            Those whose vectors have come. Of these it is a share of the seed, of the others of the
            key: of nobody both, so that it is answered once only.

        Raises
        ------
        SecureSumError
            They are fewer than the threshold, this member is none of them, or it has been answered.
        """
        names = set(survivors)
        if self._revealed or self.index not in names or not names <= set(self._shares):
            raise SecureSumError("survivors who cannot be those of this sum")
        if len(names) < self.threshold:
            raise SecureSumError(
                f"{len(names)} survivors, and the threshold is {self.threshold}: their sum stays "
                "masked"
            )
        self._revealed = True
        return {n: own[1] if n in names else own[0] for n, own in sorted(self._shares.items())}

    def _sealing_key(self, other: int, sender: int, receiver: int) -> bytes:
        """Return the key of what one of two members seals for the other."""
        context = b"share %d %d " % (sender, receiver) + self.label
        return self._sealing.agree(self._keys[other].sealing, context)


def take_off(
    label: bytes,
    threshold: int,
    keys: Mapping[int, bytes],
    masked: Mapping[int, Words],
    revealed: Mapping[int, Mapping[int, bytes]],
) -> Words:
    """Return the sum of vectors, without a mask and without any summand.

    Parameters
    ----------
    label, threshold
        Of the sum.
    keys
        Public keys of the members who have sent shares.
    masked
        By member, the vector that it sent, shape (n,).
    revealed
        By member who answered, by member the share of a secret of it.

    Returns
    -------
    Shape (n,), modulo 2^64.

    Raises
    ------
    SecureSumError
        Too few answered, or the shares give other secrets than those that were shared.
    """
    if len(revealed) < threshold:
        raise SecureSumError(
            f"{len(revealed)} members are left to take the masks off, and the threshold is "
            f"{threshold}"
        )
    secret = {
        n: shamir.combine({m: own[n] for m, own in list(revealed.items())[:threshold]})
        for n in keys
    }
    total: Words = np.zeros_like(next(iter(masked.values())))
    for words in masked.values():
        total += words  # unsigned integers wrap
    for n in masked:
        seed = secret[n]
        if seed is None:
            raise SecureSumError(f"shares that do not give the seed of member {n}")
        total -= words_of(seed, label, len(total))
    for n in set(keys) - set(masked):
        private = secret[n]
        pair = None if private is None else KeyPair.of(private)
        if pair is None or pair.public != PublicKeys.read(keys[n]).masking:
            raise SecureSumError(f"shares that do not give the key of member {n}")
        pairs = {m: pair.agree(PublicKeys.read(keys[m]).masking, b"mask " + label) for m in masked}
        # In the sum of all members the masks of pairs vanish; here those of this one are missing.
        total = Masks(WORD, n, pairs).hide_words(total, label)
    return total


class SumBytes(NamedTuple):
    """Bytes of one sum by kind of message, all members together.

    Parameters
    ----------
    public_keys, key_shares
        What members send of them, and are sent.
    masked, unmasking
        Masked vectors, and shares of secrets, which members send.
    """

    public_keys: int
    public_keys_down: int
    key_shares: int
    key_shares_down: int
    masked: int
    unmasking: int


def sum_bytes(members: int, entries: int) -> SumBytes:
    """Return the bytes of a sum of vectors of so many entries in which nobody drops out."""
    pairs = members * (members - 1)
    return SumBytes(
        members * 2 * KEY_BYTES,
        members * members * 2 * KEY_BYTES,
        pairs * SEALED_BYTES,
        pairs * SEALED_BYTES,
        members * entries * 8,
        members * members * SHARE_BYTES,
    )
