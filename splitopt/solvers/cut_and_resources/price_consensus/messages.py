"""The messages: which kinds there are, which fields they have, and a channel that counts them.

A broadcast counts as one message to each device. The size of a message is that of its fields and
one byte that says which kind it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Party = Literal["coordinator", "device", "server"]

BYTES = {
    "cut": 2,
    "keep": 1,
    "left": 1,
    "masked": 16,
    "node": 4,
    "parent": 4,
    "prices": 8,
    "round": 4,
    "rounds": 4,
    "shares": 8,
    "shift": 8,
    "slack": 8,
    "totals": 8,
    "weights": 8,
}
"""Field -> bytes of one number of it."""

KINDS: dict[str, tuple[Party, tuple[str, ...]]] = {
    "start": ("device", ("round",)),
    "quote": ("device", ("round", "node", "parent", "prices")),
    "mix": ("device", ("round", "rounds", "weights", "shift")),
    "exclude": ("device", ("node", "parent", "cut", "keep")),
    "fix": ("device", ("node", "prices", "slack")),
    "reveal": ("device", ("rounds",)),
    "adopt": ("device", ("round", "totals")),
    "answer": ("coordinator", ("masked",)),
    "left": ("coordinator", ("left",)),
    "cuts": ("coordinator", ("cut",)),
    "plan": ("server", ("cut", "shares")),
}
"""Kind -> who receives it, and its fields. Whatever is not listed here cannot be sent."""


@dataclass(frozen=True)
class Message:
    """One message: its kind, the device that it goes to or comes from, and its fields."""

    kind: str
    device: int
    fields: Mapping[str, Any]

    def __post_init__(self) -> None:
        allowed = KINDS[self.kind][1]
        if tuple(self.fields) != allowed:
            raise ValueError(f"{self.kind} has the fields {allowed}, not {tuple(self.fields)}")

    @property
    def size(self) -> int:
        """Bytes of the message."""
        return 1 + sum(BYTES[name] * _length(value) for name, value in self.fields.items())


class Peer(Protocol):
    """What the channel needs of a device."""

    def receive(self, message: Message) -> Message | None:
        """Take a message and give the reply to it, if it has one."""
        ...


@dataclass
class Channel:
    """Carries messages between the coordinator and the devices, which never meet otherwise.

    Parameters
    ----------
    peers
        The devices.
    tap
        Called with every message.
    """

    peers: Sequence[Peer]
    tap: Callable[[Message], object] | None = None
    messages: Counter[str] = field(default_factory=Counter)
    size: int = 0

    def ask(self, device: int, kind: str, fields: Mapping[str, Any]) -> Message | None:
        """Send a message to one device and give its reply."""
        return self._carry(device, self._count(Message(kind, device, fields)))

    def ask_all(self, kind: str, fields: Mapping[str, Any]) -> list[Message]:
        """Send a message to all devices and give their replies in their order."""
        replies = []
        for device in range(len(self.peers)):
            reply = self.ask(device, kind, fields)
            if reply is not None:
                replies.append(reply)
        return replies

    def seen_by(self, party: Party) -> dict[str, list[str]]:
        """Give the kinds of messages that a party received, with their fields."""
        return {
            kind: list(fields)
            for kind, (receiver, fields) in KINDS.items()
            if receiver == party and self.messages[kind]
        }

    def _carry(self, device: int, message: Message) -> Message | None:
        reply = self.peers[device].receive(message)
        return None if reply is None else self._count(reply)

    def _count(self, message: Message) -> Message:
        self.messages[message.kind] += 1
        self.size += message.size
        if self.tap is not None:
            self.tap(message)
        return message


def _length(value: Any) -> int:
    return len(value) if isinstance(value, tuple) else 1
