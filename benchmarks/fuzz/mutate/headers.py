"""Spoiling safetensors: the JSON header in front of the values."""

from __future__ import annotations

import struct
from random import Random

from benchmarks.fuzz.mutate.raw import spoil_bytes
from benchmarks.fuzz.mutate.trees import changed
from benchmarks.fuzz.mutate.writing import parse, write


def spoil_header(content: bytes, rng: Random) -> bytes:
    """Change the header, its length, or the values behind it."""
    if len(content) < 8:
        return spoil_bytes(content, rng)
    (length,) = struct.unpack("<Q", content[:8])
    header, values = content[8 : 8 + length], content[8 + length :]
    kind = rng.randrange(8)
    if kind == 0:
        claim = rng.choice((0, 2**63, 2**31, length - 1, length + 1, len(content)))
        return struct.pack("<Q", max(0, claim)) + header + values
    if kind < 3:
        return content[: 8 + length] + _numbers(values, rng)
    try:
        header = write(changed(parse(header), rng))
    except (ValueError, UnicodeDecodeError):
        return spoil_bytes(content, rng)
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + values


def _numbers(values: bytes, rng: Random) -> bytes:
    """Put an odd float at some place."""
    if len(values) < 4:
        return values
    place = 4 * rng.randrange(len(values) // 4)
    odd = rng.choice((float("nan"), float("inf"), 3e38, 1e-45, -0.0))
    return values[:place] + struct.pack("<f", odd) + values[place + 4 :]
