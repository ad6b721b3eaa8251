"""The messages between the parties of a pipeline, and the checks of what arrives."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from splitopt.training.codecs.crossing import DOWN, UP, Crossing, Encoded
from splitopt.training.wire.encoded import arrived, as_tensors
from splitopt.training.wire.pipeline.timing import ACTIVATIONS, GRADIENTS
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.errors import FrameError
from splitopt.training.wire.transport.frames import DTYPES, Message

FIRST, LAST = "first", "last"
"""At which end of the chain an owner's connection is."""

CONNECT_S = 30.0
"""For so long a party waits for a neighbour in the chain when connecting."""

ENCODED = "encoded"
"""The field with the dtype and the shape of a tensor that was encoded."""
_VALUES = "values"
_DIMENSIONS = 32

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


def check_crossing(message: Message) -> None:
    """Raise `FrameError` if a message has neither what crosses a cut nor nothing."""
    names = {name.partition(".")[0] for name in message.tensors}
    if names - {_VALUES}:
        raise FrameError("a batch without values")


def arrived_values(message: Message, crossing: Crossing, cut: int = 0) -> Tensor | None:
    """Return what crosses a cut (0, 1, ...); None for gradients that nobody before it needs.

    Raises
    ------
    FrameError
        It is something else.
    """
    tensors = message.tensors
    if not tensors:
        return None
    check_crossing(message)
    way = UP if message.kind == ACTIVATIONS else DOWN
    if list(tensors) == [_VALUES]:
        shape, dtype = tuple(tensors[_VALUES].shape), tensors[_VALUES].dtype
    else:
        shape, dtype = _shape_of(message.fields)
    return arrived(crossing, way, tensors, _VALUES, shape, dtype, cut)


def packed(encoded: Encoded | None) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Pack what crosses a cut into fields and tensors, none for gradients that nobody needs."""
    if encoded is None:
        return {}, {}
    fields: dict[str, Any] = {}
    if not encoded.is_whole:
        dtype = str(encoded.dtype).removeprefix("torch.")
        fields = {ENCODED: [dtype, list(encoded.shape)]}
    return fields, as_tensors(encoded, _VALUES)


def _shape_of(fields: Mapping[str, Any]) -> tuple[tuple[int, ...], torch.dtype]:
    """Read of which shape and dtype a tensor was before it was encoded."""
    match fields.get(ENCODED):
        case [str() as dtype, list() as shape] if (
            dtype in DTYPES
            and len(shape) <= _DIMENSIONS
            and all(type(size) is int and 0 <= size < 2**31 for size in shape)
        ):
            return tuple(shape), DTYPES[dtype]
    raise FrameError("encoded values without their shape and dtype")


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


def senders_of_owner(nodes: int) -> tuple[str, str]:
    """Name what an owner sends over cuts: activations over the first, gradients over the last."""
    return "up.0", f"down.{nodes}"


def senders_of_node(index: int) -> tuple[str, str]:
    """Name what a node of the chain sends: activations behind it, gradients before it."""
    return f"up.{index + 1}", f"down.{index}"
