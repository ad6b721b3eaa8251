"""The messages: which kinds there are, and the channel that carries them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from splitopt.solvers.cut_and_resources.messaging.log import CENTRE, Kind, Message, MessageLog

BITS = 128
"""Of a masked number."""

KINDS = {
    "start": Kind("device", {"round": 4}),
    "quote": Kind("device", {"round": 4, "node": 4, "parent": 4, "prices": 8}),
    "mix": Kind("device", {"round": 4, "rounds": 4, "weights": 8, "shift": 8}),
    "exclude": Kind("device", {"node": 4, "parent": 4, "cut": 2, "keep": 1}),
    "fix": Kind("device", {"node": 4, "prices": 8, "slack": 8}),
    "reveal": Kind("device", {"rounds": 4}),
    "adopt": Kind("device", {"round": 4, "totals": 8}),
    "answer": Kind("coordinator", {"masked": BITS // 8}),
    "left": Kind("coordinator", {"left": 1}),
    "cuts": Kind("coordinator", {"cut": 2}),
    "plan": Kind("server", {"cut": 2, "shares": 8}),
}
"""All that may be sent; one byte of each message says which kind it is."""


class Peer(Protocol):
    """What the channel needs of a device."""

    def receive(self, message: Message) -> Message | None:
        """Receive a message and return the reply to it, if it has one."""
        ...


class Channel:
    """Carries messages between the coordinator and the devices, which never meet otherwise.

    Parameters
    ----------
    peers
        The devices.
    listener
        Called with every message.
    kinds
        All that may be sent.
    """

    def __init__(
        self,
        peers: Sequence[Peer],
        listener: Callable[[Message], object] | None = None,
        kinds: Mapping[str, Kind] = KINDS,
    ) -> None:
        self.peers = peers
        self.log = MessageLog(kinds, header_bytes=1, listener=listener)

    def ask(self, device: int, kind: str, fields: Mapping[str, Any]) -> Message | None:
        """Send a message to one device and return its reply."""
        sent = self.log.record(Message(kind, CENTRE, device, fields))
        reply = self.peers[device].receive(sent)
        return None if reply is None else self.log.record(reply)

    def ask_all(self, kind: str, fields: Mapping[str, Any]) -> list[Message]:
        """Send a message to all devices and return their replies in their order."""
        replies = (self.ask(device, kind, fields) for device in range(len(self.peers)))
        return [reply for reply in replies if reply is not None]
