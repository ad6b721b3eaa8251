"""The device in a secure sum: keys and shares first, its masked vector, and shares at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splitopt.secure_sum.keys import SecureSumError
from splitopt.secure_sum.protocol import Member
from splitopt.training.model_parts.copies import Copy
from splitopt.training.schemes.base import Client, Scheme
from splitopt.training.wire.star.secure.vectors import as_tensor, words_of
from splitopt.training.wire.transport.errors import FrameError
from splitopt.training.wire.transport.frames import Message

PUBLIC_KEYS, KEY_SHARES, MASKED, UNMASKING = "public_keys", "key_shares", "masked", "unmasking"
"""Kinds of messages, the same both ways."""

Send = Callable[[str, Mapping[str, Any], Mapping[str, Tensor]], object]
Hear = Callable[[str], Message]


class SumMember:
    """One device in the sums of all rounds; what it keeps to itself is drawn anew for each.

    Parameters
    ----------
    index
        Of its client.
    threshold
        How many devices it takes to take masks off. It is the device's own word: no server can
        lower it.
    weight
        By which its part counts in averages.
    """

    def __init__(self, index: int, threshold: int, weight: float) -> None:
        self.index, self.threshold, self.weight = index, threshold, weight
        self._member: Member | None = None
        self._sealed: dict[int, bytes] = {}

    @classmethod
    def of(cls, scheme: Scheme, client: Client) -> SumMember | None:
        """Return the member that a client is; None where nothing is masked."""
        if not scheme.options.secure_aggregation:
            return None
        return cls(scheme.clients.index(client), scheme.unmasking_threshold, scheme.weight(client))

    def agree(self, number: int, send: Send, hear: Hear) -> None:
        """Exchange keys and shares with the others for a round (0, 1, ...).

        Raises
        ------
        FrameError
            What came belongs to no sum, or to one of too few.
        """
        self._member = Member(self.index, self.threshold, label_of(number))
        send(PUBLIC_KEYS, {}, {"keys": bytes_tensor([self._member.public_keys()])})
        message = hear(PUBLIC_KEYS)
        with refused():
            sealed = self._member.shares(read_rows(message, "keys"))
        others = sorted(sealed)
        rows = bytes_tensor([sealed[n] for n in others])
        send(KEY_SHARES, {"members": others}, {"shares": rows})
        self._sealed = read_rows(hear(KEY_SHARES), "shares")

    def masked(self, own: Copy) -> dict[str, Tensor]:
        """Return the masked vector of a copy, as it travels.

        Raises
        ------
        TrainingError
            A number is not finite, or too large for a sum that does not wrap.
        FrameError
            Shares of the others cannot be read, or there are too few.
        """
        assert self._member is not None
        words = words_of(own, self.weight, len(self._sealed) + 1)
        with refused():
            return {"values": as_tensor(self._member.hide(words, self._sealed))}

    def answer(self, message: Message) -> dict[str, Tensor]:
        """Return this device's shares of the secrets of all, once, to take masks off."""
        assert self._member is not None
        with refused():
            shares = self._member.reveal(members_in(message, "survivors"))
        self._member = None
        return {"shares": bytes_tensor(list(shares.values()))}


def label_of(number: int) -> bytes:
    """Return the label of the sum of a round (0, 1, ...)."""
    return b"round %d" % number


class refused:  # noqa: N801
    """Raise `FrameError` for a `SecureSumError` of the block: the other side has sent it."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, SecureSumError):
            raise FrameError(str(error)) from None


def bytes_tensor(rows: list[bytes]) -> Tensor:
    """Return rows of equally many bytes as a tensor, shape (rows, bytes)."""
    flat = np.frombuffer(b"".join(rows), dtype=np.uint8).copy()
    return torch.from_numpy(flat).reshape(len(rows), -1 if len(rows) else 0)


def members_in(message: Message, name: str = "members") -> list[int]:
    """Read numbers of members; raise `FrameError` for what is none."""
    found = message.fields.get(name)
    if not isinstance(found, list) or not all(type(n) is int and 0 <= n < 2**31 for n in found):
        raise FrameError(f"{name} of a secure sum that are none")
    if len(set(found)) < len(found):
        raise FrameError(f"{name} of a secure sum of whom one stands twice")
    return list(found)


def read_rows(message: Message, name: str) -> dict[int, bytes]:
    """Read a row of bytes for each member that a message names."""
    members, rows = members_in(message), message.tensors.get(name)
    if rows is None or rows.dtype != torch.uint8 or rows.dim() != 2 or len(rows) != len(members):
        raise FrameError(f"{name} of a secure sum that are no rows of bytes")
    return {n: bytes(row.numpy()) for n, row in zip(members, rows.contiguous(), strict=True)}
