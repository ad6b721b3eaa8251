"""Who averages: it hands on keys and shares, adds up masked vectors, and takes the masks off."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from splitopt.errors import TrainingError
from splitopt.secure_sum.fixed_point import Words
from splitopt.secure_sum.keys import SecureSumError
from splitopt.secure_sum.protocol import SHARE_BYTES, take_off
from splitopt.training.model_parts.copies import tensor_bytes
from splitopt.training.schemes.base import Scheme
from splitopt.training.wire.own_parts import copy_of
from splitopt.training.wire.star.secure.member import (
    KEY_SHARES,
    PUBLIC_KEYS,
    UNMASKING,
    bytes_tensor,
    label_of,
    read_rows,
)
from splitopt.training.wire.star.secure.vectors import (
    common_part,
    entries,
    load_mean,
    read_words,
)
from splitopt.training.wire.transport.errors import FrameError
from splitopt.training.wire.transport.frames import Message

SUM_S = 10.0
"""Within this time a device must answer where no plan says how long anything takes."""

Value = TypeVar("Value")
Rows = dict[int, bytes]


class Ways(NamedTuple):
    """How messages go to one device, and come from it within a deadline."""

    send: Callable[[str, Mapping[str, Any], Mapping[str, Tensor]], object]
    hear: Callable[[str], Message]


Each = Callable[[Sequence[int], Callable[[int], Rows]], Mapping[int, Rows]]
"""Works with several devices at a time; those that fail are missing in what it returns."""


class Gathering(Generic[Value]):
    """Waits until every member has brought something, or has left."""

    def __init__(self, members: Collection[int]) -> None:
        self._waited, self._found = set(members), dict[int, Value]()
        self._changed = threading.Condition()

    def arrive(self, n: int, value: Value) -> dict[int, Value]:
        """Add something, wait for the others, and return what all have added."""
        with self._changed:
            self._found[n] = value
            self._waited.discard(n)
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._waited)
            return dict(sorted(self._found.items()))

    def leave(self, n: int) -> None:
        """Remove a member, so that nobody waits for it."""
        with self._changed:
            self._waited.discard(n)
            self._changed.notify_all()

    @property
    def found(self) -> dict[int, Value]:
        """What has been brought so far."""
        with self._changed:
            return dict(self._found)


class Aggregation:
    """The sum of one round; a thread for each member may use it.

    Parameters
    ----------
    scheme
        Whose devices' parts are averaged.
    members
        Indices of the clients who begin.
    number
        The round, 0 for the first.

    Attributes
    ----------
    sent, received
        Bytes of keys and shares by kind of message.
    """

    def __init__(self, scheme: Scheme, members: Collection[int], number: int) -> None:
        self.scheme, self.members = scheme, tuple(sorted(members))
        self.threshold, self._label = scheme.unmasking_threshold, label_of(number)
        self.sent, self.received = Counter[str](), Counter[str]()
        self._keys = Gathering[bytes](self.members)
        self._shares = Gathering[Rows](self.members)
        self._masked: dict[int, Words] = {}
        self._total: Words | None = None
        self._survivors: list[int] = []
        self._counting = threading.Lock()

    def agree(self, n: int, ways: Ways) -> None:
        """Exchange keys and shares between a member and the others, all at the same time.

        Raises
        ------
        TrainingError
            So many have left that nothing could be unmasked.
        """
        first = self._hear(ways, PUBLIC_KEYS)
        rows = first.tensors.get("keys")
        if rows is None or rows.dtype != torch.uint8 or rows.dim() != 2 or len(rows) != 1:
            raise FrameError("public keys that are none")
        keys = self._keys.arrive(n, bytes(rows[0].numpy()))
        self._check(len(keys), "have sent their keys")
        table = {"keys": bytes_tensor(list(keys.values()))}
        self._send(ways, PUBLIC_KEYS, {"members": list(keys)}, table)
        sealed = read_rows(self._hear(ways, KEY_SHARES), "shares")
        if set(sealed) != set(keys) - {n}:
            raise FrameError("shares for other members than there are")
        every = self._shares.arrive(n, sealed)
        self._check(len(every), "have sent their shares")
        own = {m: rows[n] for m, rows in every.items() if m != n}
        table = {"shares": bytes_tensor(list(own.values()))}
        self._send(ways, KEY_SHARES, {"members": list(own)}, table)

    def leave(self, n: int) -> None:
        """Remove a member that is gone, so that nobody waits for it."""
        self._keys.leave(n)
        self._shares.leave(n)

    def add(self, n: int, message: Message) -> None:
        """Add the masked vector of a member; raise `FrameError` for what is none."""
        count = entries(copy_of(self.scheme, n))
        words = read_words(message.tensors.get("values"), count)
        with self._counting:
            self._masked[n] = words

    def unmask(self, survivors: Collection[int], each: Each, ways: Callable[[int], Ways]) -> None:
        """Compute the plain sum of those who came to the end of the round.

        Parameters
        ----------
        survivors
            Whose vectors are added; of the others nothing is learnt, even of vectors that came.
        each
            Asks them; who leaves now is in the sum all the same.
        ways
            To each of them.

        Raises
        ------
        TrainingError
            Fewer than the threshold are left; what came stays masked.
        """
        names = sorted(survivors)
        self._check(len(names), "came to the end of the round")
        shared = self._shares.found
        held = sorted(shared)

        def ask(n: int) -> Rows:
            way = ways(n)
            self._send(way, UNMASKING, {"survivors": names}, {})
            rows = self._hear(way, UNMASKING).tensors.get("shares")
            if rows is None or rows.dtype != torch.uint8 or rows.shape != (len(held), SHARE_BYTES):
                raise FrameError("shares of secrets that are none")
            return {m: bytes(row.numpy()) for m, row in zip(held, rows.contiguous(), strict=True)}

        revealed = each(names, ask)
        self._check(len(revealed), "are left to take the masks off")
        keys = {n: key for n, key in self._keys.found.items() if n in shared}
        masked = {n: self._masked[n] for n in names}
        try:
            self._total = take_off(self._label, self.threshold, keys, masked, revealed)
        except SecureSumError as error:
            raise TrainingError(f"secure aggregation: {error}") from None
        self._survivors, self._masked = names, {}

    def settle(self) -> None:
        """Load the mean into the common model, where the scheme has put that of its own copies."""
        assert self._total is not None
        clients = [self.scheme.clients[n] for n in self._survivors]
        own = copy_of(self.scheme, self._survivors[0])
        weight = sum(self.scheme.weight(client) for client in clients)
        load_mean(common_part(self.scheme, clients[0]), own, self._total, weight)

    def _check(self, left: int, what: str) -> None:
        """Reject fewer devices than the threshold.

        The sum of a round of which too few are left stays masked, and so does every summand.
        """
        if left < self.threshold:
            raise TrainingError(
                f"secure aggregation: {left} of {len(self.members)} devices {what}, and the "
                f"threshold is {self.threshold}, so that their sum stays masked; what was learned "
                "before this round is kept, and --resume goes on from a checkpoint when more are "
                "back"
            )

    def _send(
        self, ways: Ways, kind: str, fields: Mapping[str, Any], tensors: Mapping[str, Tensor]
    ) -> None:
        ways.send(kind, fields, tensors)
        with self._counting:
            self.sent[kind] += sum(map(tensor_bytes, tensors.values()))

    def _hear(self, ways: Ways, kind: str) -> Message:
        message = ways.hear(kind)
        with self._counting:
            self.received[kind] += sum(map(tensor_bytes, message.tensors.values()))
        return message
