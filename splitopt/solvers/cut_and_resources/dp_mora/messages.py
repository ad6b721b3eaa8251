"""The messages between devices and server, and the audit that counts every one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SERVER = -1
"""The server's address; devices are 0 to N - 1."""

FIELDS: dict[str, dict[str, int]] = {
    "price": {"lambda": 8, "z": 8},
    "relayed_price": {"lambda": 8, "z": 8},
    "vote": {"settled": 1},
    "masked": {"masked_value": 32},
    "total": {"total": 8},
    "mask_key": {"key": 32},
    "command": {"command": 1, "value": 8},
    "alarm": {"negative": 1},
}
"""Kind of message -> its fields and their bytes: all that ever leaves a device.

``price`` goes from a device to the server, ``relayed_price`` from the server to those who hear that
device, ``mask_key`` once between two devices (encrypted, so that the server only carries it),
``total`` and ``command`` from the server to a device, the others from a device to the server.
"""


@dataclass(frozen=True)
class Message:
    """One message; `origin` is the device whose price a relayed message carries."""

    kind: str
    sender: int
    receiver: int
    values: Mapping[str, Any]
    origin: int | None = None


@dataclass
class Audit:
    """Counts of all messages by kind; with `keep`, the messages themselves as well."""

    keep: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    transcript: list[Message] = field(default_factory=list)

    def record(self, message: Message) -> Message:
        """Count one message; a field that its kind does not have is a mistake in the code."""
        if set(message.values) != set(FIELDS[message.kind]):
            raise ValueError(f"a {message.kind} message may not carry {sorted(message.values)}")
        self.count(message.kind, 1)
        if self.keep:
            self.transcript.append(message)
        return message

    def count(self, kind: str, number: int) -> None:
        """Count messages of a kind that were exchanged as one array operation."""
        if number:
            self.counts[kind] = self.counts.get(kind, 0) + number

    @property
    def messages(self) -> int:
        """How many messages there were."""
        return sum(self.counts.values())

    @property
    def bytes(self) -> int:
        """Bytes of all fields, without headers of any network protocol."""
        return sum(number * sum(FIELDS[kind].values()) for kind, number in self.counts.items())

    def to_dict(self) -> dict[str, Any]:
        """Give kind -> messages, bytes and fields as plain data."""
        return {
            kind: {
                "messages": number,
                "bytes": number * sum(FIELDS[kind].values()),
                "fields": list(FIELDS[kind]),
            }
            for kind, number in self.counts.items()
        }
