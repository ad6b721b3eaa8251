"""What the fed server reads of messages, before it trusts any of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splitopt.training.wire.dropping import late_on_failure
from splitopt.training.wire.star.secure.aggregation import SUM_S, Ways
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.errors import FrameError
from splitopt.training.wire.transport.frames import Message, expect_kind


def members_of(message: Message, clients: int) -> list[int]:
    """Read for which of so many clients a message is."""
    found = message.fields.get("members")
    if not isinstance(found, list) or not all(type(n) is int and 0 <= n < clients for n in found):
        raise FrameError("a message for devices that are none")
    return found


def ways_of(channel: Channel, phase: str) -> Ways:
    """Return how messages of a secure sum go to a device, and come from it."""

    def hear(kind: str) -> Message:
        with late_on_failure(phase, SUM_S):
            return expect_kind(channel.receive(SUM_S), kind)

    return Ways(channel.send, hear)


def whole_of(fields: Mapping[str, Any], name: str, least: int = 0, below: int = 2**40) -> int:
    """Read a whole number of a message."""
    value = fields.get(name)
    if type(value) is not int or not least <= value < below:
        raise FrameError(f"a message whose {name} is {str(value)[:80]}")
    return value
