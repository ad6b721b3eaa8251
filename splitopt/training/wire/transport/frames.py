"""Frames: what one message is on the wire. A frame that came is never trusted.

A frame is a prefix of fixed length, a header in JSON, and the values of its tensors one after the
other, as they lie in memory (little-endian). Nothing in it is ever executed, and nothing
is allocated before its size has been held against the limits.

======  =========================  ==========================================
bytes   field                      type
======  =========================  ==========================================
4       ``SPLF``                   magic
4       length of the header       unsigned, little-endian
8       length of the payload      unsigned, little-endian
8       the sender's clock in s    float64, when the frame was begun
======  =========================  ==========================================

The header is ``{"kind": TEXT, "fields": {...}, "tensors": [[NAME, DTYPE, [SIZE, ...]], ...]}``. A
tensor whose dimensions lie in memory in another order, such as images with channels last, has that
order as a fourth entry, and arrives as it lay: what is computed from it is then the same bit for
bit.
"""

from __future__ import annotations

import json
import math
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from splitopt.documents.json_text import parse_json
from splitopt.errors import InputError
from splitopt.training.wire.transport.errors import FrameError

MAGIC = b"SPLF"
PREFIX = struct.Struct("<4sIQd")

DTYPES: dict[str, torch.dtype] = {
    str(kind).removeprefix("torch."): kind
    for kind in (
        torch.float64,
        torch.float32,
        torch.float16,
        torch.bfloat16,
        torch.complex64,
        torch.complex128,
        torch.int64,
        torch.int32,
        torch.int16,
        torch.int8,
        torch.uint8,
        torch.bool,
    )
}
_NAMES = {kind: name for name, kind in DTYPES.items()}
_DIMENSIONS = 32


@dataclass(frozen=True)
class Limits:
    """What a frame may be at most; a larger one ends the connection before it is read."""

    header_bytes: int = 64 * 2**20
    payload_bytes: int = 8 * 2**30
    tensors: int = 1_000_000


USUAL_LIMITS = Limits()


class Transfer(NamedTuple):
    """When a message was on its way, in s of this process's monotonic clock.

    Parameters
    ----------
    start_s
        When the sender began it; at the receiver, by the offset of the clocks.
    end_s
        At the sender, when its last byte was sent; at the receiver, when that was read.
    payload_bytes
        Bytes of the tensors' values.
    """

    start_s: float
    end_s: float
    payload_bytes: int

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end_s - self.start_s


NO_TRANSFER = Transfer(0.0, 0.0, 0)


@dataclass(frozen=True)
class Message:
    """What came in one frame."""

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    transfer: Transfer = NO_TRANSFER


class Room(NamedTuple):
    """What a tensor needs: its dtype, its shape, and its dimensions from the outermost inwards."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    order: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize

    def allocate(self) -> Tensor:
        """Make a tensor for them."""
        inside = torch.empty([self.shape[place] for place in self.order], dtype=self.dtype)
        return inside.permute([self.order.index(place) for place in range(len(self.shape))])


class Header(NamedTuple):
    """What the JSON of a frame says, checked."""

    kind: str
    fields: dict[str, Any]
    rooms: dict[str, Room]


def encode_header(kind: str, fields: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bytes:
    """Write the header of a message.

    Raises
    ------
    InputError
        A tensor of a kind that does not travel, or a number that is not finite.
    """
    if sys.byteorder != "little":
        raise InputError("the wire mode needs a machine that is little-endian")
    table = []
    for name, tensor in tensors.items():
        if tensor.dtype not in _NAMES or tensor.layout != torch.strided:
            raise InputError.at(
                f"{kind}: {name}", f"a tensor of {tensor.dtype}, {tensor.layout} does not travel"
            )
        order = _order(tensor)
        inner = [] if order == sorted(order) else [order]
        table.append([name, _NAMES[tensor.dtype], list(tensor.shape), *inner])
    document = {"kind": kind, "fields": dict(fields), "tensors": table}
    try:
        return json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise InputError.at(f"{kind}: fields", f"are not plain data ({error})") from None


def values_of(tensor: Tensor) -> memoryview:
    """Return the bytes of a tensor's values, without copying those that lie in memory in order."""
    own = tensor.detach().cpu().resolve_conj().resolve_neg()
    flat = own.permute(_order(own)).contiguous().reshape(-1)
    if not flat.numel():
        return memoryview(b"")
    return flat.view(torch.uint8).numpy().data


def decode_prefix(raw: bytes | bytearray, limits: Limits) -> tuple[int, int, float]:
    """Return the lengths of header and payload, and the sender's clock.

    Raises
    ------
    FrameError
        It is none, or promises more than the limits allow.
    """
    magic, header, payload, sent_s = PREFIX.unpack(raw)
    if magic != MAGIC:
        raise FrameError("what came is not a frame of splitopt")
    for length, limit, part in (
        (header, limits.header_bytes, "header"),
        (payload, limits.payload_bytes, "payload"),
    ):
        if length > limit:
            raise FrameError(f"a frame with a {part} of {length} bytes, more than {limit}")
    if not math.isfinite(sent_s):
        raise FrameError("a frame with a clock that is not a number")
    return header, payload, sent_s


def decode_header(raw: bytes | bytearray, payload: int, limits: Limits) -> Header:
    """Read and check the header of a frame with a payload of so many bytes.

    Raises
    ------
    FrameError
        It is not what this protocol sends, or its tensors are not as long as the payload.
    """
    try:
        document = parse_json(raw.decode(), "header")
    except (UnicodeDecodeError, InputError) as error:
        raise FrameError(f"a frame whose header cannot be read ({error})") from None
    if not isinstance(document, dict) or set(document) != {"kind", "fields", "tensors"}:
        raise FrameError("a frame whose header has not the keys kind, fields, tensors")
    kind, fields, table = document["kind"], document["fields"], document["tensors"]
    if not (isinstance(kind, str) and isinstance(fields, dict) and isinstance(table, list)):
        raise FrameError("a frame whose header has not a text, an object and a list")
    if len(table) > limits.tensors:
        raise FrameError(f"a frame of {len(table)} tensors, more than {limits.tensors}")
    rooms: dict[str, Room] = {}
    for entry in table:
        name, room = _tensor(entry, payload)
        if name in rooms:
            raise FrameError(f"a frame with two tensors called {name!r}")
        rooms[name] = room
    total = sum(room.size for room in rooms.values())
    if total != payload:
        raise FrameError(f"a frame with {total} bytes of tensors in a payload of {payload}")
    return Header(kind, fields, rooms)


def room_for(header: Header) -> dict[str, Tensor]:
    """Allocate the tensors that a checked header announces."""
    try:
        return {name: room.allocate() for name, room in header.rooms.items()}
    except RuntimeError as error:  # PyTorch's out of memory
        raise FrameError(f"a frame whose tensors cannot be allocated ({error})") from None


def _order(tensor: Tensor) -> list[int]:
    """Return the dimensions as they lie in memory, where the values lie there without gaps."""
    plain = list(range(tensor.dim()))
    if tensor.is_contiguous():
        return plain
    strides = tensor.stride()
    order = sorted(plain, key=lambda place: -strides[place])
    return order if tensor.permute(order).is_contiguous() else plain


def _tensor(entry: Any, payload: int) -> tuple[str, Room]:
    """Read one row of the table of tensors."""
    if not isinstance(entry, list) or len(entry) not in (3, 4):
        raise FrameError("a frame whose tensors are not [name, dtype, shape]")
    name, dtype, shape = entry[:3]
    if not isinstance(name, str) or not isinstance(dtype, str) or dtype not in DTYPES:
        raise FrameError(f"a frame with a tensor of unknown dtype {str(dtype)[:80]!r}")
    if not isinstance(shape, list) or len(shape) > _DIMENSIONS:
        raise FrameError(f"a frame with a tensor of more than {_DIMENSIONS} dimensions")
    largest = max(payload, 2**31)
    if not all(type(size) is int and 0 <= size <= largest for size in shape):
        raise FrameError(f"a frame with a tensor of the shape {str(shape)[:80]}")
    order = entry[3] if len(entry) == 4 else list(range(len(shape)))
    fine = isinstance(order, list) and all(type(place) is int for place in order)
    if not fine or sorted(order) != list(range(len(shape))):
        raise FrameError(f"a frame with a tensor whose dimensions lie as {str(order)[:80]}")
    return name, Room(DTYPES[dtype], tuple(shape), tuple(order))


def expect_kind(message: Message, *kinds: str) -> Message:
    """Return the message if it is of one of the kinds that were due; raise `FrameError` if not."""
    if message.kind not in kinds:
        raise FrameError(f"a message {message.kind[:80]!r} where {' or '.join(kinds)} was due")
    return message
