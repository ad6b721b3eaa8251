"""The messages between the parties of a pipeline, and the checks of what arrives."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from splitopt.training.wire.pipeline.timing import ACTIVATIONS, GRADIENTS
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.errors import FrameError
from splitopt.training.wire.transport.frames import Message

FIRST, LAST = "first", "last"
"""At which end of the chain an owner's connection is."""

CONNECT_S = 30.0
"""For so long a party waits for a neighbour in the chain when connecting."""

ASK, GO = "ask", "go"
"""The right node asks for a link that carries one direction at a time; the left one grants it."""


def whole_number(
    fields: Mapping[str, Any], name: str, least: int = 0, below: float = math.inf
) -> int:
    """Read a whole number from a message."""
    value = fields.get(name)
    if type(value) is not int or not least <= value < below:
        raise FrameError(f"a message whose {name} is {str(value)[:80]}")
    return value


def begin_moment(fields: Mapping[str, Any]) -> float:
    """Read when a round begins, by the sender's clock."""
    value = fields.get("start_s")
    if not isinstance(value, float) or not math.isfinite(value):
        raise FrameError("a round without a moment at which it begins")
    return value


def addresses_of(fields: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Read where the nodes listen, in the order of the chain."""
    nodes = fields.get("nodes")
    if not isinstance(nodes, list) or not nodes:
        raise FrameError("a message without the nodes' addresses")
    found = []
    for node in nodes:
        match node:
            case [str() as host, int() as port] if 0 < port < 2**16:
                found.append((host, port))
            case _:
                raise FrameError("a message with an address that is none")
    return found


def crossing(tensors: Mapping[str, Tensor]) -> Tensor | None:
    """Read what crosses a cut; None for gradients that nobody before the cut needs.

    Raises
    ------
    FrameError
        It is something else.
    """
    if not tensors:
        return None
    if list(tensors) != ["values"]:
        raise FrameError("a batch without values")
    return tensors["values"]


def as_tensors(values: Tensor | None) -> dict[str, Tensor]:
    """Pack what crosses a cut into a message, nothing for gradients that nobody needs."""
    return {} if values is None else {"values": values}


def payloads(channels: Iterable[Channel]) -> Counter[str]:
    """Count the bytes of activations and gradients that were sent over connections so far."""
    total: Counter[str] = Counter()
    for channel in channels:
        total += Counter({kind: channel.sent_bytes[kind] for kind in (ACTIVATIONS, GRADIENTS)})
    return total


def sent_bytes(message: Message) -> dict[str, int]:
    """Read how many bytes of activations and gradients a party has sent."""
    found = message.fields.get("sent")
    if not isinstance(found, dict) or not all(
        kind in (ACTIVATIONS, GRADIENTS) and type(size) is int and size >= 0
        for kind, size in found.items()
    ):
        raise FrameError("counts of bytes that are none")
    return found
