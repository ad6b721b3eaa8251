"""Small files that claim to unpack to gigabytes of zeros, and do."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache

_PIECE = 2**24
_PIECES = 192
SIZE = _PIECE * _PIECES
"""Bytes that a bomb unpacks to: 3 GiB."""


@cache
def _zeros() -> bytes:
    """Return a deflate stream of `SIZE` zeros: one piece again and again, then an empty end."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = packer.compress(bytes(_PIECE)) + packer.flush(zlib.Z_FULL_FLUSH)
    return piece * _PIECES + packer.flush()


def gzip_bomb() -> bytes:
    """Return a gzip file; its checksum, which comes last, is wrong."""
    head = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"
    return head + _zeros() + struct.pack("<II", 0, SIZE % 2**32)


def zip_bomb(name: str) -> bytes:
    """Return an archive with one array of float64 that its header announces rightly.

    The checksum, which is known only when all is unpacked, is wrong.
    """
    count = SIZE // 8
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({count},), }}"
    header = b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + text.ljust(117).encode() + b"\n"
    stored = struct.pack("<BHH", 0, len(header), len(header) ^ 0xFFFF) + header
    data = stored + _zeros()
    size = SIZE + len(header)
    path = name.encode()
    common = struct.pack("<HHHHHIII", 20, 0, 8, 0, 0x21, 0, len(data), size)
    stream = io.BytesIO()
    stream.write(b"PK\x03\x04" + common + struct.pack("<HH", len(path), 0) + path + data)
    start = stream.tell()
    rest = struct.pack("<HHHHHII", len(path), 0, 0, 0, 0, 0, 0)
    stream.write(b"PK\x01\x02" + struct.pack("<H", 20) + common + rest + path)
    end = stream.tell() - start
    stream.write(b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, end, start, 0))
    return stream.getvalue()
