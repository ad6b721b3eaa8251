"""Spoiling bytes, whatever they mean."""

from __future__ import annotations

import gzip
import zlib
from random import Random

from benchmarks.fuzz.mutate.bombs import gzip_bomb


def spoil_bytes(content: bytes, rng: Random) -> bytes:
    """Cut, flip, splice, fill or replace bytes."""
    size = len(content)
    kind = rng.randrange(12)
    start = rng.randrange(size + 1)
    length = min(rng.choice((1, 2, 4, 8, 64, 1024)), size - start)
    end = start + length
    if kind == 0:
        return content[:start]
    if kind == 1:
        return content[start:]
    if kind in (2, 3) and size:
        flipped = bytearray(content)
        for _ in range(rng.choice((1, 1, 4, 32))):
            # What says what a file is stands at its ends.
            place = rng.randrange(size if rng.random() < 0.5 else min(size, 128))
            flipped[place if rng.random() < 0.8 else size - 1 - place] ^= 1 << rng.randrange(8)
        return bytes(flipped)
    if kind == 4:
        return content[:start] + bytes(length) + content[end:]
    if kind == 5:
        return content[:start] + b"\xff" * length + content[end:]
    if kind == 6:
        other = rng.randrange(size + 1)
        return content[:start] + content[other : other + length] + content[end:]
    if kind == 7:
        return content[:start] + rng.randbytes(rng.choice((1, 4, 100))) + content[start:]
    if kind == 8:
        return content[:start] + content[end:]
    if kind == 9:
        return content + content
    return _whole(content, rng)


def _whole(content: bytes, rng: Random) -> bytes:
    """Replace everything."""
    kind = rng.randrange(6)
    if kind == 0:
        return b""
    if kind == 1:
        return bytes(rng.choice((1, 16, 100_000)))
    if kind == 2:
        return rng.randbytes(rng.choice((1, 16, 5000)))
    if kind == 3:
        return gzip_bomb()
    if kind == 4:
        return gzip.compress(content, 1, mtime=0)
    return zlib.compress(content)
