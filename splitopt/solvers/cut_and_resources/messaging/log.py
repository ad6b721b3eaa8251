"""A log of the messages between parties: which kinds there may be, how many, how many bytes.

A broadcast counts as one message to each device. The size of a message is that of its fields and of
its header, without the headers of any network protocol.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

CENTRE = -1
"""The address of the party in the middle, a server or a coordinator; devices are 0 to N - 1."""


@dataclass(frozen=True)
class Kind:
    """A kind of message: who may receive it, and its fields with the bytes of one number each."""

    receiver: str
    fields: Mapping[str, int]


@dataclass(frozen=True)
class Message:
    """One message; `origin` is the device whose price a relayed message carries."""

    kind: str
    sender: int
    receiver: int
    fields: Mapping[str, Any]
    origin: int | None = None


@dataclass
class MessageLog:
    """Counts all messages by kind; whatever is no listed kind cannot be sent.

    Parameters
    ----------
    kinds
        Name -> kind of message: all that ever leaves a party.
    header_bytes
        Bytes of a message beside its fields.
    listener
        Called with every message.
    """

    kinds: Mapping[str, Kind]
    header_bytes: int = 0
    listener: Callable[[Message], object] | None = None
    counts: Counter[str] = field(default_factory=Counter)
    bytes: int = 0

    def record(self, message: Message) -> Message:
        """Count one message; a field that its kind does not have is a mistake in the code."""
        allowed = self.kinds[message.kind].fields
        if set(message.fields) != set(allowed):
            raise ValueError(
                f"{message.kind} has the fields {(*allowed,)}, not {(*message.fields,)}"
            )
        self.counts[message.kind] += 1
        self.bytes += self.header_bytes + sum(
            allowed[name] * _length(value) for name, value in message.fields.items()
        )
        if self.listener is not None:
            self.listener(message)
        return message

    def count(self, kind: str, number: int) -> None:
        """Count messages of a kind, one number a field, that were one array operation."""
        if number:
            self.counts[kind] += number
            size = self.header_bytes + sum(self.kinds[kind].fields.values())
            self.bytes += number * size

    @property
    def messages(self) -> int:
        """How many messages there were."""
        return self.counts.total()

    def seen_by(self, party: str) -> dict[str, list[str]]:
        """Return the kinds of messages that a party received, with their fields."""
        return {
            name: list(kind.fields)
            for name, kind in self.kinds.items()
            if kind.receiver == party and self.counts[name]
        }


def _length(value: Any) -> int:
    return len(value) if isinstance(value, tuple) else 1
