"""Messages of the protocol as bytes: each number in as many as its kind says, and nothing else.

So what travels is what `MessageLog` counts, but for the byte of its kind, which is in the header of
the frame. Numbers of 8 bytes are float64, all others whole numbers; both little-endian.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import torch
from torch import Tensor

from splitopt.solvers.cut_and_resources.messaging.log import Kind, Message
from splitopt.solvers.cut_and_resources.price_consensus.messages import KINDS
from splitopt.training.wire.transport.errors import FrameError

SEALED = "sealed"
"""The one field of a plan on its way to the server, which the coordinator cannot read."""
WIRE_KINDS = {**KINDS, "plan": Kind("server", {SEALED: 1})}
_FLOAT = 8


def pack(kind: Kind, fields: dict[str, Any]) -> tuple[dict[str, int | None], bytes]:
    """Return how many numbers each field has, None for one by itself, and all of them as bytes."""
    counts: dict[str, int | None] = {}
    parts: list[bytes] = []
    for name, size in kind.fields.items():
        value = fields[name]
        numbers = value if isinstance(value, tuple) else (value,)
        counts[name] = len(numbers) if isinstance(value, tuple) else None
        parts += [_packed(number, size) for number in numbers]
    return counts, b"".join(parts)


def unpack(kind: Kind, counts: Any, raw: bytes) -> dict[str, Any]:
    """Return the fields that `pack` gave.

    Raises
    ------
    FrameError
        They are none of this kind.
    """
    if not isinstance(counts, dict) or set(counts) != set(kind.fields):
        raise FrameError("a message with other fields than its kind has")
    found: dict[str, Any] = {}
    place = 0
    for name, size in kind.fields.items():
        count = counts[name]
        if count is not None and (type(count) is not int or not 0 <= count <= len(raw)):
            raise FrameError("a message with a field that has no number of entries")
        numbers = []
        for _ in range(1 if count is None else count):
            piece = raw[place : place + size]
            place += size
            if len(piece) < size:
                raise FrameError("a message that is shorter than its fields")
            number = struct.unpack("<d", piece)[0] if size == _FLOAT else _whole(piece)
            if not math.isfinite(number):
                raise FrameError("a message with a number that is not finite")
            numbers.append(number)
        found[name] = tuple(numbers) if count is not None else numbers[0]
    if place != len(raw):
        raise FrameError("a message that is longer than its fields")
    return found


def _packed(number: Any, size: int) -> bytes:
    return struct.pack("<d", number) if size == _FLOAT else int(number).to_bytes(size, "little")


def _whole(piece: bytes) -> int:
    return int.from_bytes(piece, "little")


def tensor_of(raw: bytes) -> dict[str, Tensor]:
    """Return bytes as what a frame carries."""
    return {"packed": torch.tensor(list(raw), dtype=torch.uint8)}


def bytes_in(tensors: Any) -> bytes:
    """Return the bytes that a frame carries; raise `FrameError` for anything else."""
    found = tensors.get("packed")
    if found is None or found.dtype != torch.uint8 or found.dim() != 1 or len(tensors) != 1:
        raise FrameError("a message whose numbers are not packed")
    return bytes(found.numpy())


def as_frame(message: Message, kinds: dict[str, Kind]) -> tuple[str, dict[str, Any], bytes]:
    """Return kind, fields and bytes of the frame of a message."""
    counts, raw = pack(kinds[message.kind], dict(message.fields))
    return message.kind, {"counts": counts}, raw
