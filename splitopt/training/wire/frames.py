"""Frames: what one message is on the wire. A frame that came is never trusted.

A frame is a prefix of fixed length, a header in JSON, and the values of its tensors one after the
other, as they lie in memory (little-endian, C order). Nothing in it is ever executed, and nothing
is allocated before its size has been held against the limits.

======  =========================  ==========================================
bytes   field                      type
======  =========================  ==========================================
4       ``SPLF``                   magic
4       length of the header       unsigned, little-endian
8       length of the payload      unsigned, little-endian
8       the sender's clock in s    float64, when the frame was begun
======  =========================  ==========================================

The header is ``{"kind": TEXT, "fields": {...}, "tensors": [[NAME, DTYPE, [SIZE, ...]], ...]}``.
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

from splitopt.errors import InputError
from splitopt.files import parse_json
from splitopt.training.wire.errors import FrameError

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


class Header(NamedTuple):
    """What the JSON of a frame says, checked."""

    kind: str
    fields: dict[str, Any]
    shapes: dict[str, tuple[torch.dtype, tuple[int, ...]]]


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
        table.append([name, _NAMES[tensor.dtype], list(tensor.shape)])
    document = {"kind": kind, "fields": dict(fields), "tensors": table}
    try:
        return json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise InputError.at(f"{kind}: fields", f"are not plain data ({error})") from None


def values_of(tensor: Tensor) -> memoryview:
    """Give the bytes of a tensor's values, without copying those that lie in memory in order."""
    flat = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    if not flat.numel():
        return memoryview(b"")
    return flat.view(torch.uint8).numpy().data


def decode_prefix(raw: bytes | bytearray, limits: Limits) -> tuple[int, int, float]:
    """Give the lengths of header and payload, and the sender's clock.

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
    shapes: dict[str, tuple[torch.dtype, tuple[int, ...]]] = {}
    total = 0
    for entry in table:
        name, dtype, shape = _tensor(entry, payload)
        if name in shapes:
            raise FrameError(f"a frame with two tensors called {name!r}")
        shapes[name] = (dtype, shape)
        total += math.prod(shape) * dtype.itemsize
    if total != payload:
        raise FrameError(f"a frame with {total} bytes of tensors in a payload of {payload}")
    return Header(kind, fields, shapes)


def room_for(header: Header) -> dict[str, Tensor]:
    """Allocate the tensors that a checked header announces."""
    try:
        return {
            name: torch.empty(shape, dtype=kind) for name, (kind, shape) in header.shapes.items()
        }
    except RuntimeError as error:  # PyTorch's out of memory
        raise FrameError(f"a frame whose tensors cannot be allocated ({error})") from None


def _tensor(entry: Any, payload: int) -> tuple[str, torch.dtype, tuple[int, ...]]:
    """Read one row of the table of tensors."""
    if not isinstance(entry, list) or len(entry) != 3:
        raise FrameError("a frame whose tensors are not [name, dtype, shape]")
    name, dtype, shape = entry
    if not isinstance(name, str) or not isinstance(dtype, str) or dtype not in DTYPES:
        raise FrameError(f"a frame with a tensor of unknown dtype {dtype!r}")
    if not isinstance(shape, list) or len(shape) > _DIMENSIONS:
        raise FrameError(f"a frame with a tensor of more than {_DIMENSIONS} dimensions")
    for size in shape:
        if (
            isinstance(size, bool)
            or not isinstance(size, int)
            or not 0 <= size <= max(payload, 2**31)
        ):
            raise FrameError(f"a frame with a tensor of the shape {str(shape)[:80]}")
    return name, DTYPES[dtype], tuple(shape)
